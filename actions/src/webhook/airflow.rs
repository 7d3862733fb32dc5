//! Runs `type: airflow`: starts a DAG by Airflow's REST API, and waits for it if the hook asks for that.
//!
//! A gate must not pass because something else than Airflow answered: only 200 counts, from the very URL that
//! was asked, and only `success` is a state that lets a change pass. The wait ends with the hook's timeout, or when
//! nobody waits for the hook any more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graveler::Event;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::{Answer, Call, Failed, Masker, TextLog, Webhooks};
use crate::action_file::{AirflowProperties, format_duration};
use crate::env::{Expanded, MASK};
use crate::output::Output;

/// How often Airflow is asked for a run's state.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long one request may take. The hook's `timeout` is that of the wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest description of a run that is read: it repeats the configuration that the run was started with.
const MAX_DAG_RUN_BYTES: usize = 1 << 20;
/// Airflow's states are short words.
const MAX_STATE_CHARS: usize = 32;

/// A run that is to be made. Fields in lakeFS's order.
#[derive(Serialize)]
struct NewDagRun<'a> {
    dag_run_id: &'a str,
    conf: BTreeMap<&'a str, Conf<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Conf<'a> {
    Given(&'a serde_json::Value),
    Event(&'a RawValue),
}

/// What is read of a run.
#[derive(Deserialize)]
struct DagRun<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
}

impl Webhooks {
    /// Starts the hook's DAG as the run `run_id` of it. Whatever happens is in the log; the error is why the hook failed.
    pub(crate) async fn run_dag(
        &self,
        hook: &AirflowProperties,
        run_id: &str,
        event: &Event,
        payload: &str,
        log: &mut Output,
    ) -> Result<(), Failed> {
        let password = self.environment.expand(&hook.password);
        let Expanded {
            text: password,
            values,
            ..
        } = password.map_err(|e| e.to_string())?;
        let credentials = format!("{}:{password}", hook.username);
        let whole = [password.as_str(), credentials.as_str()];
        let masker = Masker::new(whole.into_iter().chain(values.iter().map(String::as_str)));
        let mut headers = self.marks.headers(event);
        headers.insert(AUTHORIZATION, basic(&credentials)?);

        let body = body(hook, run_id, payload)?;
        log.text(&format!(
            "Request:\nPOST {}\nUsername: {}, Password: {MASK}\nBody: {body}\n\n",
            hook.shown_runs, hook.username
        ));
        let (client, runs) = self.client_of("Post", &hook.runs, &hook.shown_runs).await?;
        let call = Call {
            method: "Post",
            url: runs,
            shown_url: &hook.shown_runs,
            masker: &masker,
        };
        let request = client
            .post(runs.clone())
            .headers(headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .timeout(REQUEST_TIMEOUT)
            .body(body);
        let answer = self.exchange(request, call, 0, log).await?;
        check(&answer, runs)?;
        if !hook.wait_for_dag {
            return Ok(());
        }
        log.text("\nWaiting for DAG to complete...\n");
        let mut run = runs.clone();
        if let Ok(mut path) = run.path_segments_mut() {
            path.push(run_id);
        }
        let waited = self.wait(&run, headers, &masker, log);
        match tokio::time::timeout(hook.timeout, waited).await {
            Ok(ended) => ended,
            Err(_) => Err(Failed {
                message: format!(
                    "airflow hook DAG did not end within {}",
                    format_duration(hook.timeout)
                ),
                hint: Some(
                    "raise 'timeout', up to 1h, or find out in Airflow why the run takes so long"
                        .to_owned(),
                ),
            }),
        }
    }

    /// Asks for a run's state until it has ended.
    async fn wait(
        &self,
        run: &Url,
        headers: HeaderMap,
        masker: &Masker,
        log: &mut Output,
    ) -> Result<(), Failed> {
        let mut ticks = tokio::time::interval(self.dag_poll_interval);
        // Airflow that is slow is not asked more often for it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Names are resolved anew, so the target is looked at anew.
            let refused = |e: super::targets::Forbidden| format!("Get \"{run}\": {e}");
            let client = self.client_for(run).await.map_err(refused)?;
            let call = Call {
                method: "Get",
                url: run,
                shown_url: run.as_str(),
                masker,
            };
            log.text(&format!("Request:\nGET {run}\n"));
            let request = client
                .get(run.clone())
                .headers(headers.clone())
                .timeout(REQUEST_TIMEOUT);
            let answer = self.exchange(request, call, MAX_DAG_RUN_BYTES, log).await?;
            check(&answer, run)?;
            let state = state(&answer.body)?;
            let _ = write!(
                TextLog(log),
                "\nDAG completed with state: {}\n",
                masker.text(&state)
            );
            match &*state {
                "success" => return Ok(()),
                "failed" => return Err("airflow hook DAG failed".to_owned().into()),
                _ => {}
            }
        }
    }
}

/// The value of `Authorization`.
fn basic(credentials: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials)))
        .map_err(|e| format!("'username' and 'password' cannot be sent: {e}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What Airflow is sent: the hook's configuration, and the event that webhooks are told.
fn body(hook: &AirflowProperties, run_id: &str, payload: &str) -> Result<String, String> {
    let event: &RawValue =
        serde_json::from_str(payload).map_err(|e| format!("failed to write the event: {e}"))?;
    let given = hook.dag_conf.iter();
    let mut conf: BTreeMap<&str, Conf<'_>> = given
        .map(|(name, value)| (name.as_str(), Conf::Given(value)))
        .collect();
    conf.insert("lakeFS_event", Conf::Event(event));
    let run = NewDagRun {
        dag_run_id: run_id,
        conf,
    };
    serde_json::to_string(&run).map_err(|e| format!("failed to write 'dag_conf': {e}"))
}

/// Whether Airflow did what it was asked for. A page to log in that a redirect led to answers 200 as well.
fn check(answer: &Answer, asked: &Url) -> Result<(), Failed> {
    let status = answer.status.as_u16();
    let message = format!("status code ({status}): airflow hook request failed");
    if answer.status != StatusCode::OK {
        let hint = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(
                "Airflow refuses 'username' and 'password', or does not allow basic authentication"
                    .to_owned(),
            ),
            StatusCode::NOT_FOUND => Some(
                "'url' is that of Airflow's web server, without /api/v1; 'dag_id' is that of one of its DAGs"
                    .to_owned(),
            ),
            _ => answer.hint.clone(),
        };
        return Err(Failed { message, hint });
    }
    if answer.url != *asked {
        return Err(Failed {
            message: format!("redirected: {message}"),
            hint: Some(
                "a redirect led to another URL, which started no DAG: set 'url' to where Airflow's API is, and see that it allows basic authentication"
                    .to_owned(),
            ),
        });
    }
    Ok(())
}

/// The state in Airflow's description of a run.
fn state(body: &[u8]) -> Result<Cow<'_, str>, String> {
    let is_word = |state: &str| {
        (1..=MAX_STATE_CHARS).contains(&state.len())
            && state
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if body.len() >= MAX_DAG_RUN_BYTES {
        return Err(format!(
            "airflow described the DAG's run in more than {MAX_DAG_RUN_BYTES} bytes"
        ));
    }
    // A list would be read as the fields in their order.
    let is_map = body.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice::<DagRun<'_>>(body) {
        Ok(run) if is_map && is_word(&run.state) => Ok(run.state),
        _ => Err("airflow did not tell the state of the DAG's run".to_owned()),
    }
}

#[cfg(test)]
mod tests;
