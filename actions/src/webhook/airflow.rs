//! Runs `type: airflow`: starts a DAG through Airflow's REST API and optionally waits for it.
//!
//! A gate must not pass because something other than Airflow responded. Only status 200 from
//! exactly the requested URL counts as success, and only the state `success` lets a change pass.
//! Waiting ends at the hook's timeout, or when the caller gives up.

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

use super::redirects::drops_body;
use super::{Answer, Call, Masker, SecretSearch, TextLog, Webhooks, answer_in_log};
use crate::action_file::{AirflowProperties, format_duration};
use crate::env::{Expanded, MASK};
use crate::output::Output;
use crate::runner::HookFailure;

/// Timeout of one request. The hook's `timeout` limits the whole wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum size of a run's description, which repeats the configuration of the run.
const MAX_DAG_RUN_BYTES: usize = 1 << 20;
/// Maximum length of a state's name in the log. Airflow's states are short words.
const MAX_STATE_CHARS: usize = 32;

/// Hint for a redirect, for example to a login page.
const OTHER_URL: &str = "a redirect leads to another URL, which starts no DAG: set 'url' to the address of Airflow's web server, and check that it allows basic authentication";

/// Request body that creates a run. The fields are in lakeFS's order.
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

/// The field of a run's description that is used.
#[derive(Deserialize)]
struct DagRun<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
}

impl Webhooks {
    /// Starts the hook's DAG with the given run id and, if `wait_for_dag` is set, waits for the run.
    /// Appends requests and responses to `log`. If Airflow refuses, the error's hint names `log_at`,
    /// the path at which the log can be read.
    pub(crate) async fn run_dag(
        &self,
        hook: &AirflowProperties,
        run_id: &str,
        event: &Event,
        payload: &str,
        log: &mut Output,
        log_at: &str,
    ) -> Result<(), HookFailure> {
        let password = self.environment.expand(&hook.password);
        let Expanded {
            text: password,
            values,
            ..
        } = password?;
        let credentials = format!("{}:{password}", hook.username);
        let whole = [password.as_str(), credentials.as_str()];
        let masker = Masker::new(whole.into_iter().chain(values.iter().map(String::as_str)));
        let search = SecretSearch::new(masker, &self.computations, event);
        let mut headers = self.nesting_headers.headers(event);
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
            search: &search,
            timeout: None,
        };
        let request = client
            .post(runs.clone())
            .headers(headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .timeout(REQUEST_TIMEOUT)
            .body(body);
        let answer = self.exchange(request, call, 0, log).await?;
        check(&answer, runs, log_at)?;
        if !hook.wait_for_dag {
            return Ok(());
        }
        log.text("\nWaiting for DAG to complete...\n");
        let mut run = runs.clone();
        if let Ok(mut path) = run.path_segments_mut() {
            path.push(run_id);
        }
        let waited = self.wait(&run, headers, &search, log, log_at);
        match tokio::time::timeout(hook.timeout, waited).await {
            Ok(ended) => ended,
            Err(_) => Err(HookFailure {
                message: format!(
                    "airflow hook DAG did not finish within {}",
                    format_duration(hook.timeout)
                ),
                hint: Some(
                    "raise 'timeout', up to 1h, or check in Airflow why the run takes so long"
                        .to_owned(),
                ),
            }),
        }
    }

    /// Polls the state of a run until the run has ended.
    async fn wait(
        &self,
        run: &Url,
        headers: HeaderMap,
        search: &SecretSearch,
        log: &mut Output,
        log_at: &str,
    ) -> Result<(), HookFailure> {
        let mut ticks = tokio::time::interval(self.dag_poll_interval);
        // If Airflow responds slowly, skip polls instead of catching up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // The host name is resolved again for each poll, so the target is checked again.
            let refused =
                |e: super::targets::Forbidden| HookFailure::new(format!("Get \"{run}\": {e}"));
            let client = self.client_for(run).await.map_err(refused)?;
            let call = Call {
                method: "Get",
                url: run,
                shown_url: run.as_str(),
                search,
                timeout: None,
            };
            log.text(&format!("Request:\nGET {run}\n"));
            let request = client
                .get(run.clone())
                .headers(headers.clone())
                .timeout(REQUEST_TIMEOUT);
            let answer = self.exchange(request, call, MAX_DAG_RUN_BYTES, log).await?;
            check(&answer, run, log_at)?;
            let state = state(&answer.body)?;
            let masked = String::from(&*state);
            let masked = search.run(move |masker| masker.text(&masked));
            let masked = masked.await?;
            let _ = write!(TextLog(log), "\nDAG completed with state: {masked}\n");
            match &*state {
                "success" => return Ok(()),
                "failed" => return Err(HookFailure::new("airflow hook DAG failed")),
                _ => {}
            }
        }
    }
}

/// Returns the value of the `Authorization` header.
fn basic(credentials: &str) -> Result<HeaderValue, HookFailure> {
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials)))
        .map_err(|e| HookFailure::new(format!("'username' and 'password' cannot be sent: {e}")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the request body: the hook's configuration and the event payload that webhooks receive.
fn body(hook: &AirflowProperties, run_id: &str, payload: &str) -> Result<String, HookFailure> {
    let event: &RawValue = serde_json::from_str(payload)
        .map_err(|e| HookFailure::new(format!("failed to write the event: {e}")))?;
    let given = hook.dag_conf.iter();
    let mut conf: BTreeMap<&str, Conf<'_>> = given
        .map(|(name, value)| (name.as_str(), Conf::Given(value)))
        .collect();
    conf.insert("lakeFS_event", Conf::Event(event));
    let run = NewDagRun {
        dag_run_id: run_id,
        conf,
    };
    serde_json::to_string(&run)
        .map_err(|e| HookFailure::new(format!("failed to write 'dag_conf': {e}")))
}

/// Checks that Airflow itself accepted the request: a login page behind a redirect also returns
/// status 200. `log_at` is the path at which the hook's log can be read.
fn check(answer: &Answer, requested: &Url, log_at: &str) -> Result<(), HookFailure> {
    let status = answer.status.as_u16();
    let message = format!("status code ({status}): airflow hook request failed");
    if answer.status != StatusCode::OK {
        let hint = match answer.status {
            status if drops_body(status) => Some(OTHER_URL.to_owned()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(
                "Airflow rejects 'username' and 'password', or does not allow basic authentication"
                    .to_owned(),
            ),
            StatusCode::NOT_FOUND => Some(
                "set 'url' to the address of Airflow's web server, without /api/v1, and 'dag_id' to the id of an existing DAG"
                    .to_owned(),
            ),
            _ => answer.hint.clone(),
        };
        return Err(HookFailure { message, hint }.and_hint(answer_in_log(log_at)));
    }
    if answer.url != *requested {
        return Err(HookFailure {
            message: format!("redirected: {message}"),
            hint: Some(OTHER_URL.to_owned()),
        });
    }
    Ok(())
}

/// Extracts the state from Airflow's description of a run.
fn state(body: &[u8]) -> Result<Cow<'_, str>, HookFailure> {
    let is_word = |state: &str| {
        (1..=MAX_STATE_CHARS).contains(&state.len())
            && state
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if body.len() >= MAX_DAG_RUN_BYTES {
        return Err(HookFailure::new(format!(
            "the description of the DAG run from airflow exceeds {MAX_DAG_RUN_BYTES} bytes"
        )));
    }
    // serde would also accept a list and assign its items to the fields in order.
    let is_map = body.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice::<DagRun<'_>>(body) {
        Ok(run) if is_map && is_word(&run.state) => Ok(run.state),
        _ => Err(HookFailure::new(
            "the description of the DAG run from airflow has no state",
        )),
    }
}

/// Reads the state from Airflow's description of a run, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_state(body: &[u8]) {
    drop(state(body));
}

#[cfg(test)]
mod tests;
