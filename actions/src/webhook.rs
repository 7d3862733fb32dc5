//! Runs `type: webhook`: one POST, bounded in time and size, logged with its secrets masked.
//!
//! The log's layout and the error texts are those of lakeFS, because people and scripts read them.

mod addresses;
mod masking;
mod proxies;
mod targets;

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use base::Clock;
use futures::StreamExt as _;
use graveler::Event;
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Version};
use url::{Host, Url};

use crate::action_file::{Target, WebhookProperties, format_duration};
use crate::env::{Environment, Expanded};
use crate::nesting::Marks;
use crate::output::Output;
use masking::Masker;
use proxies::Proxies;
use targets::Guarded;

pub use targets::WebhookTargets;

/// Redirects that are followed, to the same server only: a header may hold a secret.
const MAX_REDIRECTS: usize = 10;
/// How much of an answer's body is read and logged.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Calls webhooks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    /// Connects to the targets themselves.
    direct: Client,
    /// Connects to the proxies that the environment names.
    proxied: Client,
    proxies: Proxies,
    targets: Arc<WebhookTargets>,
    marks: Marks,
    environment: Environment,
    clock: Arc<dyn Clock>,
}

/// How to call webhooks.
#[derive(Clone, Default)]
pub struct WebhookOptions {
    pub targets: WebhookTargets,
    /// A key of the installation, which tells its own runs by what callbacks carry.
    pub run_key: Vec<u8>,
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
        // `reqwest` brings no TLS provider. This fails only where one is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let targets = Arc::new(options.targets);
        let builder = || Client::builder().redirect(Policy::custom(follow));
        let build = |b: ClientBuilder| {
            b.build()
                .map_err(|e| format!("failed to set up the webhook client: {}", root_cause(&e)))
        };
        let direct = builder()
            .no_proxy()
            .dns_resolver(Guarded::direct(Arc::clone(&targets)));
        let proxied = proxies.applied(builder().dns_resolver(Guarded::of_proxies()));
        Ok(Self {
            direct: build(direct)?,
            proxied: build(proxied)?,
            proxies,
            targets,
            marks: Marks::new(&options.run_key),
            environment,
            clock,
        })
    }

    /// How deep in hooks a request is nested, by the headers that webhooks are sent with.
    pub(crate) fn depth_of(&self, headers: &HeaderMap) -> u32 {
        self.marks.depth_of(headers)
    }

    /// The client for a URL, once the URL may be called.
    async fn client_for(&self, url: &Url) -> Result<&Client, targets::Forbidden> {
        self.targets.check(url)?;
        // Proxies are never meant for this machine itself.
        if is_loopback(url) || !self.proxies.intercept(url) {
            return Ok(&self.direct);
        }
        self.targets.check_resolved(url).await?;
        Ok(&self.proxied)
    }

    /// Delivers `payload`. Whatever happens is in the log; the error is why the hook failed.
    pub(crate) async fn run(
        &self,
        hook: &WebhookProperties,
        event: &Event,
        payload: &str,
        log: &mut Output,
    ) -> Result<(), String> {
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
        let headers = Headers::new(headers, &self.marks.headers(event))?;
        log.text(&request_head(&hook.shown_url, &params, &headers, payload));

        let refused = |why: &str| format!("Post \"{}\": {why}", hook.shown_url);
        let url = match &hook.target {
            Target::Url(url) => url,
            Target::Unusable(why) => return Err(refused(why)),
        };
        // Redirects stay on this host, so one look is enough; names are looked at whenever they are resolved.
        let client = self
            .client_for(url)
            .await
            .map_err(|e| refused(&e.to_string()))?;
        let call = Call {
            url,
            shown_url: &hook.shown_url,
        };
        let request = client
            .post(with_params(url, &params))
            .headers(headers.to_send)
            .timeout(hook.timeout)
            .body(payload.to_owned());
        let started = self.clock.now();
        let answer = request.send().await;
        let elapsed = (self.clock.now() - started).try_into().unwrap_or_default();
        let _ = write!(
            TextLog(log),
            "\n\nRequest duration: {}\n",
            format_duration(elapsed)
        );

        let failed = |e: &reqwest::Error, when| masker.text(&failure(call, e, when));
        let answer = answer.map_err(|e| failed(&e, "while awaiting headers"))?;
        let status = answer.status();
        log.text("\nResponse:\n");
        log.text(&masker.text(&response_head(&answer)));
        let read = read_body(answer, &masker, log).await;
        read.map_err(|e| failed(&e, "while reading body"))?;
        if status.is_success() {
            Ok(())
        } else {
            Err(format!(
                "webhook request failed (status code: {})",
                status.as_u16()
            ))
        }
    }
}

/// What is called, and how it is told.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    url: &'a Url,
    shown_url: &'a str,
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

/// Whether a secret meant for one URL may go to the other: same host and port, or the same
/// host by `https` where it was plain before.
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

/// The URL with the parameters beside its own, in order of name.
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

/// Headers as they are sent, and as the log shows them.
struct Headers {
    to_send: HeaderMap,
    shown: Vec<(String, String)>,
}

impl Headers {
    /// What the action file names, and marks of the run, which it can't replace but for the user agent.
    fn new(pairs: Vec<(String, Expanded)>, marks: &HeaderMap) -> Result<Self, String> {
        let mut to_send = HeaderMap::new();
        to_send.extend(
            marks
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
        for (name, value) in marks.iter().filter(|(name, _)| **name != USER_AGENT) {
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

/// The answer as it would look on the wire, in Go's order: connection, length, then the others by name.
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

/// Logs the body as far as it is logged, with the secrets in it masked wherever reads end.
async fn read_body(answer: Response, masker: &Masker, log: &mut Output) -> reqwest::Result<()> {
    // More than is logged, and enough to tell a secret that the cut goes through.
    let most = MAX_RESPONSE_BYTES + masker.lookahead().max(1);
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
    log.bytes(&masker.bytes(&read, MAX_RESPONSE_BYTES, ended.is_err()));
    if read.len() > MAX_RESPONSE_BYTES {
        let _ = write!(
            TextLog(log),
            "\n[answer cut at {MAX_RESPONSE_BYTES} bytes]\n"
        );
        return Ok(());
    }
    ended
}

/// Why a request got no answer. Never holds the query, which may hold secrets.
fn failure(call: Call<'_>, error: &reqwest::Error, when: &str) -> String {
    let Call { url, shown_url } = call;
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
    format!("Post \"{shown_url}\": {reason}")
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
        // reqwest's own text names the URL with its query.
        Some(_) => "request failed".to_owned(),
        None => cause.to_string(),
    }
}

/// `x-own-header` as `X-Own-Header`.
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

/// Masks an answer as the log shows it, for [`crate::fuzzing`].
pub(crate) fn try_answer(secret: &str, answer: &[u8]) {
    masking::try_answer(secret, answer);
}

/// Looks at a target, for [`crate::fuzzing`]: the entries are of both lists.
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
