//! Runs `type: webhook`: sends one POST request with a timeout, reads a limited part of the response,
//! and logs both with secrets masked. Also sends the requests of `type: airflow` ([`airflow`]).
//!
//! Log layout and error texts match lakeFS, because people and scripts read them.

mod addresses;
mod airflow;
mod headers;
mod masking;
mod proxies;
mod redirects;
mod targets;
mod transcript;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use graveler::Event;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode};
use url::Url;

use crate::action_file::{Target, WHOLE_URL, WebhookProperties, format_duration};
use crate::computations::Computations;
use crate::env::{Environment, Expanded};
use crate::error::SetupError;
use crate::nesting::NestingHeaders;
use crate::output::Output;
use crate::runner::HookFailure;
use headers::Headers;
use masking::{Masker, SecretSearch};
use proxies::Proxies;
use redirects::{follow, hint_of_redirect, recorded};
use targets::CheckedResolver;
use transcript::{Call, TextLog, failure, hint_of_failure, read_body, request_head, response_head};

#[cfg(any(test, feature = "testing"))]
pub(crate) use airflow::try_state as try_dag_run;
pub use targets::WebhookTargets;

/// Interval at which Airflow is polled for the state of a DAG run.
const DAG_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Calls webhooks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    /// Client that connects to targets directly.
    direct: Client,
    /// Client that connects to the proxies from the environment.
    proxied: Client,
    proxies: Proxies,
    targets: Arc<WebhookTargets>,
    nesting_headers: NestingHeaders,
    environment: Environment,
    clock: Arc<dyn Clock>,
    computations: Computations,
    dag_poll_interval: Duration,
}

/// How to call webhooks.
#[derive(Clone)]
pub struct WebhookOptions {
    pub targets: WebhookTargets,
    /// A key of the installation. It signs the headers that identify requests caused by webhooks.
    pub run_key: Vec<u8>,
    /// Interval at which a waiting hook polls Airflow for the state of a DAG run.
    pub dag_poll_interval: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            targets: WebhookTargets::default(),
            run_key: Vec::new(),
            dag_poll_interval: DAG_POLL_INTERVAL,
        }
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions")
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl Webhooks {
    pub(crate) fn new(
        environment: Environment,
        clock: Arc<dyn Clock>,
        options: WebhookOptions,
        computations: Computations,
    ) -> Result<Self, SetupError> {
        let proxies = Proxies::of_process();
        Self::with_proxies(environment, clock, options, computations, proxies)
    }

    fn with_proxies(
        environment: Environment,
        clock: Arc<dyn Clock>,
        options: WebhookOptions,
        computations: Computations,
        proxies: Proxies,
    ) -> Result<Self, SetupError> {
        // `reqwest` is built without a TLS provider, so one must be installed. The call fails only if
        // one is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let targets = Arc::new(options.targets);
        let builder = || {
            let proxies = proxies.clone();
            Client::builder().redirect(Policy::custom(move |attempt| follow(attempt, &proxies)))
        };
        let build = |b: ClientBuilder| b.build().map_err(SetupError::Webhooks);
        let direct = builder()
            .no_proxy()
            .dns_resolver(CheckedResolver::direct(Arc::clone(&targets)));
        let proxied = proxies.applied(builder().dns_resolver(CheckedResolver::of_proxies()));
        Ok(Self {
            direct: build(direct)?,
            proxied: build(proxied)?,
            proxies,
            targets,
            nesting_headers: NestingHeaders::new(&options.run_key),
            environment,
            clock,
            computations,
            dag_poll_interval: options.dag_poll_interval,
        })
    }

    /// Returns the environment variables that hooks may read.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the nesting depth of a request according to the headers that webhook requests carry.
    pub(crate) fn depth_of(&self, headers: &HeaderMap) -> u32 {
        self.nesting_headers.depth_of(headers)
    }

    /// Checks that the URL may be called and returns the client to use.
    async fn client_for(&self, url: &Url) -> Result<&Client, targets::Forbidden> {
        self.targets.check(url)?;
        if !self.proxies.intercept(url) {
            return Ok(&self.direct);
        }
        self.targets.check_resolved(url).await?;
        Ok(&self.proxied)
    }

    /// Sends `payload` to the webhook and appends request and response to `log`. If the service
    /// refuses, the error's hint names `log_at`, the path at which the log can be read.
    pub(crate) async fn run(
        &self,
        hook: &WebhookProperties,
        event: &Event,
        payload: &str,
        log: &mut Output,
        log_at: &str,
    ) -> Result<(), HookFailure> {
        let expand = |pairs: &[(String, String)]| -> Result<Vec<(String, Expanded)>, HookFailure> {
            pairs
                .iter()
                .map(|(name, value)| {
                    let value = self.environment.expand(value)?;
                    Ok((name.clone(), value))
                })
                .collect()
        };
        let mut params = expand(&hook.query_params)?;
        params.sort_by(|a, b| a.0.cmp(&b.0));
        let headers = expand(&hook.headers)?;
        let put_in = params.iter().chain(&headers);
        let masker =
            Masker::new(put_in.flat_map(|(_, text)| text.values.iter().map(String::as_str)));
        let search = SecretSearch::new(masker, &self.computations, event);
        let headers = Headers::new(headers, &self.nesting_headers.headers(event))?;
        log.text(&request_head(&hook.shown_url, &params, &headers, payload));

        let (client, url) = self
            .client_of("Post", &hook.target, &hook.shown_url)
            .await?;
        let call = Call {
            method: "Post",
            url,
            shown_url: &hook.shown_url,
            search: &search,
            timeout: Some(hook.timeout),
        };
        let request = client
            .post(with_params(url, &params))
            .headers(headers.to_send)
            .timeout(hook.timeout)
            .body(payload.to_owned());
        log.text("\n");
        let answer = self.exchange(request, call, 0, log).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let status = answer.status.as_u16();
        let failure = HookFailure {
            message: format!("webhook request failed (status code: {status})"),
            hint: answer.hint,
        };
        Err(failure.and_hint(answer_in_log(log_at)))
    }

    /// Returns the client for a hook's target and the URL to call.
    async fn client_of<'a>(
        &self,
        method: &str,
        target: &'a Target,
        shown_url: &str,
    ) -> Result<(&Client, &'a Url), HookFailure> {
        let refused = |why: &str| HookFailure::new(format!("{method} \"{shown_url}\": {why}"));
        let url = match target {
            Target::Url(url) => url,
            Target::Unusable(why) => return Err(refused(why).hint(WHOLE_URL)),
        };
        // Redirects stay on this host and with this client, so the URL is checked once. The
        // addresses of its name are checked whenever a direct client resolves it.
        let client = self.client_for(url).await;
        Ok((client.map_err(|e| refused(&e.to_string()))?, url))
    }

    /// Sends a request and logs the exchange. The returned body has at least the first `keep_bytes`
    /// bytes, or all bytes if the body is shorter.
    ///
    /// # Errors
    /// If there is no response, or only a part of the needed body.
    async fn exchange(
        &self,
        request: RequestBuilder,
        call: Call<'_>,
        keep_bytes: usize,
        log: &mut Output,
    ) -> Result<Answer, HookFailure> {
        let secrets = call.search;
        let started = self.clock.now();
        let (answer, redirects) = recorded(request.send()).await;
        let elapsed = (self.clock.now() - started).try_into().unwrap_or_default();
        let _ = write!(
            TextLog(log),
            "\nRequest duration: {}\n",
            format_duration(elapsed)
        );
        let followed = move |masker: &Masker| {
            let lines = redirects.iter();
            let lines = lines.map(|(status, to)| redirects::line(*status, to, masker));
            lines.collect::<String>()
        };
        log.text(&secrets.run(followed).await?);

        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => return Err(request_failure(call, &e, "while awaiting headers").await),
        };
        let (status, url) = (answer.status(), answer.url().clone());
        let proxies = self.proxies.clone();
        let shown = move |masker: &Masker| {
            let head = masker.text(&response_head(&answer));
            (head, hint_of_redirect(&answer, masker, &proxies), answer)
        };
        let (head, hint, answer) = secrets.run(shown).await?;
        log.text("\nResponse:\n");
        log.text(&head);
        let body = match read_body(answer, secrets, keep_bytes, log).await? {
            Ok(body) => body,
            Err(e) => return Err(request_failure(call, &e, "while reading body").await),
        };
        Ok(Answer {
            status,
            url,
            hint,
            body,
        })
    }
}

/// A response.
struct Answer {
    status: StatusCode,
    /// Final URL, after redirects.
    url: Url,
    /// Hint for a redirect that was not followed.
    hint: Option<String>,
    /// Start of the body.
    body: Vec<u8>,
}

/// Returns the failure of a hook that got no response, or only a part of it.
async fn request_failure(call: Call<'_>, error: &reqwest::Error, when: &str) -> HookFailure {
    let message = failure(call, error, when);
    let masked = call.search.run(move |masker| masker.text(&message));
    match masked.await {
        Ok(message) => HookFailure {
            message,
            hint: hint_of_failure(call, error),
        },
        Err(not_searched) => not_searched,
    }
}

/// Hint for a hook whose service responded with a failure.
fn answer_in_log(log_at: &str) -> String {
    format!("the service's answer is in the hook's log: GET {log_at}")
}

/// Returns the URL with additional query parameters, sorted by name.
fn with_params(url: &Url, params: &[(String, Expanded)]) -> Url {
    if params.is_empty() {
        return url.clone();
    }
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    pairs.extend(
        params
            .iter()
            .map(|(name, value)| (name.clone(), value.text.clone())),
    );
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url
}

/// Masks a response as for the log, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_answer(secret: &str, answer: &[u8]) {
    masking::try_answer(secret, answer);
}

/// Checks a target, for [`crate::fuzzing`]. The entries are used for both lists.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_target(url: &str, entries: &[String]) {
    let allowed = WebhookTargets::parse(entries, &[]).unwrap_or_default();
    let denied = WebhookTargets::parse(&[], entries).unwrap_or_default();
    if let Ok(url) = Url::parse(url) {
        drop((allowed.check(&url), denied.check(&url)));
        std::hint::black_box(Proxies::of_process().intercept(&url));
        drop(with_params(&url, &[]));
    }
}

#[cfg(test)]
mod tests;
