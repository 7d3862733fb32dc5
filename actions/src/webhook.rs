//! Runs `type: webhook`: sends one POST request with limits on time and size, and logs it with
//! secrets masked. Also sends the requests of `type: airflow` ([`airflow`]).
//!
//! Log layout and error texts match lakeFS, because people and scripts read them.

mod addresses;
mod airflow;
mod masking;
mod proxies;
mod targets;

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use futures::StreamExt as _;
use graveler::Event;
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    USER_AGENT,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, Version};
use url::{Host, Url};

use crate::action_file::{Target, WHOLE_URL, WebhookProperties, format_duration};
use crate::env::{Environment, Expanded};
use crate::nesting::NestingHeaders;
use crate::output::Output;
use masking::Masker;
use proxies::Proxies;
use targets::CheckedResolver;

pub use targets::WebhookTargets;

/// Maximum number of redirects. Only redirects to the same server are followed, because headers may
/// contain secrets.
const MAX_REDIRECTS: usize = 10;
/// Maximum number of bytes of a response body that are read and logged.
const MAX_RESPONSE_BYTES: usize = 64 << 10;
/// Maximum length of a redirect target's host name in a hint.
const MAX_HOST_CHARS: usize = 255;

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
            dag_poll_interval: airflow::POLL_INTERVAL,
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
    ) -> Result<Self, String> {
        Self::with_proxies(environment, clock, options, Proxies::of_process())
    }

    fn with_proxies(
        environment: Environment,
        clock: Arc<dyn Clock>,
        options: WebhookOptions,
        proxies: Proxies,
    ) -> Result<Self, String> {
        // `reqwest` is built without a TLS provider. This call fails only if a provider is already
        // installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let targets = Arc::new(options.targets);
        let builder = || Client::builder().redirect(Policy::custom(follow));
        let build = |b: ClientBuilder| {
            b.build()
                .map_err(|e| format!("failed to set up the webhook client: {}", root_cause(&e)))
        };
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
        // Proxies are never used for this machine itself.
        if is_loopback(url) || !self.proxies.intercept(url) {
            return Ok(&self.direct);
        }
        self.targets.check_resolved(url).await?;
        Ok(&self.proxied)
    }

    /// Sends `payload` to the webhook. The log records everything; the error says why the hook
    /// failed.
    pub(crate) async fn run(
        &self,
        hook: &WebhookProperties,
        event: &Event,
        payload: &str,
        log: &mut Output,
    ) -> Result<(), HookFailure> {
        let expand = |pairs: &[(String, String)]| -> Result<Vec<(String, Expanded)>, String> {
            pairs
                .iter()
                .map(|(name, value)| {
                    let value = self.environment.expand(value).map_err(|e| e.to_string())?;
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
        let headers = Headers::new(headers, &self.nesting_headers.headers(event))?;
        log.text(&request_head(&hook.shown_url, &params, &headers, payload));

        let (client, url) = self
            .client_of("Post", &hook.target, &hook.shown_url)
            .await?;
        let call = Call {
            method: "Post",
            url,
            shown_url: &hook.shown_url,
            masker: &masker,
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
        Err(HookFailure {
            message: format!("webhook request failed (status code: {status})"),
            hint: answer.hint,
        })
    }

    /// Returns the client for a hook's target and the URL to call.
    async fn client_of<'a>(
        &self,
        method: &str,
        target: &'a Target,
        shown_url: &str,
    ) -> Result<(&Client, &'a Url), HookFailure> {
        let refused = |why: &str| format!("{method} \"{shown_url}\": {why}");
        let url = match target {
            Target::Url(url) => url,
            Target::Unusable(why) => {
                return Err(HookFailure {
                    message: refused(why),
                    hint: Some(WHOLE_URL.to_owned()),
                });
            }
        };
        // Redirects stay on this host, so one check of the URL is enough. Host names are checked
        // whenever they are resolved.
        let client = self.client_for(url).await;
        Ok((client.map_err(|e| refused(&e.to_string()))?, url))
    }

    /// Sends a request and logs the exchange. Keeps up to `keep_bytes` of the response body.
    ///
    /// # Errors
    /// If there is no response or only a part of it.
    async fn exchange(
        &self,
        request: RequestBuilder,
        call: Call<'_>,
        keep_bytes: usize,
        log: &mut Output,
    ) -> Result<Answer, String> {
        let masker = call.masker;
        let started = self.clock.now();
        let answer = request.send().await;
        let elapsed = (self.clock.now() - started).try_into().unwrap_or_default();
        let _ = write!(
            TextLog(log),
            "\nRequest duration: {}\n",
            format_duration(elapsed)
        );

        let failed = |e: &reqwest::Error, when| masker.text(&failure(call, e, when));
        let answer = answer.map_err(|e| failed(&e, "while awaiting headers"))?;
        let (status, url) = (answer.status(), answer.url().clone());
        let hint = hint_of_redirect(&answer, masker);
        log.text("\nResponse:\n");
        log.text(&masker.text(&response_head(&answer)));
        let read = read_body(answer, masker, keep_bytes, log).await;
        let body = read.map_err(|e| failed(&e, "while reading body"))?;
        Ok(Answer {
            status,
            url,
            hint,
            body,
        })
    }
}

/// Why a hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookFailure {
    /// Uses lakeFS's text where lakeFS has one.
    pub(crate) message: String,
    /// What the author of the action file can do about the failure.
    pub(crate) hint: Option<String>,
}

impl From<String> for HookFailure {
    fn from(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
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

/// The request to send and how to present it in logs.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    /// Go's name of the method in error texts, for example `Post`.
    method: &'a str,
    url: &'a Url,
    shown_url: &'a str,
    masker: &'a Masker,
}

/// Lets `write!` append to a log.
struct TextLog<'a>(&'a mut Output);

impl std::fmt::Write for TextLog<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.text(text);
        Ok(())
    }
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("stopped after {MAX_REDIRECTS} redirects"));
    }
    let stays = attempt
        .previous()
        .first()
        .is_none_or(|first| is_same_server(first, attempt.url()));
    if stays {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Reports whether a secret meant for one URL may be sent to the other: same host and port, or an
/// upgrade from `http` to `https` on the same host.
fn is_same_server(from: &Url, to: &Url) -> bool {
    let secured = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
    from.host() == to.host() && (from.origin() == to.origin() || secured)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
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

/// Headers in the form that is sent and the form that is logged.
struct Headers {
    to_send: HeaderMap,
    shown: Vec<(String, String)>,
}

impl Headers {
    /// Combines the action file's headers and the nesting headers. Of the latter, the action file
    /// can replace only the user agent.
    fn new(pairs: Vec<(String, Expanded)>, nesting_headers: &HeaderMap) -> Result<Self, String> {
        let mut to_send = HeaderMap::new();
        to_send.extend(
            nesting_headers
                .get(USER_AGENT)
                .map(|agent| (USER_AGENT, agent.clone())),
        );
        to_send.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut shown = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for (name, value) in pairs {
            let key: HeaderName = name
                .parse()
                .map_err(|_| format!("header name {name:?} is not valid"))?;
            let mut sent: HeaderValue = value
                .text
                .parse()
                .map_err(|_| format!("the value of header {name:?} is not valid"))?;
            sent.set_sensitive(value.secret);
            to_send.insert(&key, sent);
            let name = canonical(key.as_str());
            shown.retain(|(n, _)| *n != name);
            shown.push((name, value.shown().to_owned()));
        }
        shown.sort();
        for (name, value) in nesting_headers
            .iter()
            .filter(|(name, _)| **name != USER_AGENT)
        {
            to_send.insert(name, value.clone());
        }
        Ok(Self { to_send, shown })
    }
}

fn request_head(
    url: &str,
    params: &[(String, Expanded)],
    headers: &Headers,
    payload: &str,
) -> String {
    let mut text = format!("Request:\nPOST {url}\nQuery Params:\n");
    for (name, value) in params {
        let _ = writeln!(text, "{name}: {}", value.shown());
    }
    text.push_str("Headers:\n");
    for (name, value) in &headers.shown {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = writeln!(text, "Request Body:\n{payload}");
    text
}

/// Formats the response head as on the wire, in Go's order: connection, length, then the others by
/// name.
fn response_head(answer: &Response) -> String {
    let headers = answer.headers();
    let mut text = format!(
        "{:?} {}\r\n",
        answer.version(),
        status_line(answer.status())
    );
    let closes = headers
        .get(CONNECTION)
        .map_or(answer.version() == Version::HTTP_10, |v| v == "close");
    if closes {
        text.push_str("Connection: close\r\n");
    }
    let value_text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let _ = write!(text, "Content-Length: {}\r\n", value_text(length));
    }
    let mut others: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| **name != CONNECTION && **name != CONTENT_LENGTH)
        .map(|(name, value)| (canonical(name.as_str()), value_text(value)))
        .collect();
    others.sort();
    for (name, value) in others {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

fn status_line(status: StatusCode) -> String {
    format!(
        "{} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("")
    )
}

/// Hint for a redirect to another server. Such redirects are not followed, because requests may
/// contain secrets.
fn hint_of_redirect(answer: &Response, masker: &Masker) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let to = answer.url().join(location).ok()?;
    if !answer.status().is_redirection() || is_same_server(answer.url(), &to) {
        return None;
    }
    let to: String = to
        .origin()
        .ascii_serialization()
        .chars()
        .take(MAX_HOST_CHARS)
        .collect();
    Some(format!(
        "the response redirects to another server ({}); such redirects are not followed because requests may contain secrets: set 'url' to the final address of the service",
        masker.text(&to)
    ))
}

/// Logs the body up to the limit, with secrets masked even if they span several reads. Returns the
/// start of the body.
async fn read_body(
    answer: Response,
    masker: &Masker,
    keep_bytes: usize,
    log: &mut Output,
) -> reqwest::Result<Vec<u8>> {
    // Reads more than is logged, so that a secret that crosses the limit is recognized.
    let most = (MAX_RESPONSE_BYTES + masker.lookahead().max(1)).max(keep_bytes);
    let mut read = Vec::new();
    let mut body = answer.bytes_stream();
    let ended = loop {
        match body.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk[..chunk.len().min(most - read.len())]),
            Some(Err(e)) => break Err(e),
            None => break Ok(()),
        }
        if read.len() == most {
            break Ok(());
        }
    };
    // Beside the requests: the search may take many milliseconds.
    let (search, is_broken_off) = (masker.clone(), ended.is_err());
    let searched = tokio::task::spawn_blocking(move || {
        let masked = search.bytes(&read, MAX_RESPONSE_BYTES, is_broken_off);
        (masked, read)
    });
    let (masked, read) = searched.await.expect("masking does not panic");
    log.bytes(&masked);
    let is_cut = read.len() > MAX_RESPONSE_BYTES;
    if is_cut {
        let _ = write!(
            TextLog(log),
            "\n[response truncated at {MAX_RESPONSE_BYTES} bytes]\n"
        );
    }
    match ended {
        // An error after the logged part is ignored, unless the caller needs the body.
        Err(e) if !is_cut || keep_bytes > 0 => Err(e),
        _ => Ok(read),
    }
}

/// Explains why a request got no response. Never contains the query, which may contain secrets.
fn failure(call: Call<'_>, error: &reqwest::Error, when: &str) -> String {
    let Call {
        method,
        url,
        shown_url,
        ..
    } = call;
    let host = url.host_str().unwrap_or_default();
    let reason = if error.is_timeout() {
        format!("context deadline exceeded (Client.Timeout exceeded {when})")
    } else if let Some(kind) = io_kind(error).filter(|_| error.is_connect()) {
        let port = url.port_or_known_default().unwrap_or_default();
        match kind {
            io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {host}:{port}: connect: connection refused")
            }
            _ if root_cause(error).contains("lookup") => {
                format!("dial tcp: lookup {host}: no such host")
            }
            _ => format!("dial tcp {host}:{port}: connect: {}", root_cause(error)),
        }
    } else {
        root_cause(error)
    };
    format!("{method} \"{shown_url}\": {reason}")
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        // reqwest's own message contains the URL with its query.
        Some(_) => "request failed".to_owned(),
        None => cause.to_string(),
    }
}

/// Converts `x-own-header` to `X-Own-Header`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            upper = c == '-';
            c
        })
        .collect()
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
        std::hint::black_box(is_loopback(&url));
        drop(with_params(&url, &[]));
    }
}

#[cfg(test)]
mod tests;
