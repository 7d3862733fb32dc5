//! Webhooks against a local test server.

use std::sync::Arc;
use std::time::Duration;

use base::ManualClock;

use graveler::EventKind;

use super::masking::SEARCHES_ON_THREAD;
use super::transcript::MAX_RESPONSE_BYTES;
use super::{HookFailure, Proxies, WebhookOptions, WebhookTargets, Webhooks};
use crate::action_file::{Target, WebhookProperties};
use crate::computations::Computations;
use crate::env::Environment;
use crate::output::{MAX_LOG_BYTES, Output};
use crate::testing::{event, server};

fn hook(url: &str) -> WebhookProperties {
    WebhookProperties {
        target: Target::Url(url.parse().unwrap()),
        shown_url: url.to_owned(),
        timeout: Duration::from_secs(30),
        query_params: Vec::new(),
        headers: Vec::new(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

async fn run(hook: &WebhookProperties) -> (Result<(), String>, String) {
    run_with(hook, WebhookOptions::default(), Proxies::of_process()).await
}

async fn run_with(
    hook: &WebhookProperties,
    options: WebhookOptions,
    proxies: Proxies,
) -> (Result<(), String>, String) {
    let (outcome, log) = deliver(hook, options, proxies).await;
    (outcome.map_err(|failed| failed.message), log)
}

async fn deliver(
    hook: &WebhookProperties,
    options: WebhookOptions,
    proxies: Proxies,
) -> (Result<(), HookFailure>, String) {
    let environment = Environment::new(true, "LAKEFSACTION_", |_| Some("s3cret".to_owned()));
    let clock = Arc::new(ManualClock::new(
        time::macros::datetime!(2026-03-04 05:06:07 UTC),
    ));
    let webhooks = Webhooks::with_proxies(
        environment,
        clock,
        options,
        Computations::new().unwrap(),
        proxies,
    )
    .unwrap();
    let mut log = Output::new(MAX_LOG_BYTES);
    let event = event(EventKind::PreCommit);
    let outcome = webhooks
        .run(
            hook,
            &event,
            r#"{"event_type":"pre-commit"}"#,
            &mut log,
            "/log",
        )
        .await;
    (outcome, String::from_utf8(log.finish(None)).unwrap())
}

fn targets(allow: &[&str], deny: &[&str]) -> WebhookOptions {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    WebhookOptions {
        targets: WebhookTargets::parse(&owned(allow), &owned(deny)).unwrap(),
        run_key: b"key".to_vec(),
        ..WebhookOptions::default()
    }
}

#[tokio::test]
async fn request_has_payload_parameters_and_headers_and_is_logged() {
    let (url, seen) = server().await;
    let mut hook = hook(&format!("{url}/tell"));
    hook.query_params = pairs(&[("one", "1"), ("many", "a"), ("many", "b")]);
    hook.headers = pairs(&[
        ("X-Own", "v"),
        ("X-Var", "Bearer {{ ENV.LAKEFSACTION_TOKEN }}"),
        ("X-Home", "{{ ENV.HOME }}"),
    ]);
    let (outcome, log) = run(&hook).await;
    assert_eq!(outcome, Ok(()));

    let (uri, headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(uri, "/tell?many=a&many=b&one=1");
    assert_eq!(body, r#"{"event_type":"pre-commit"}"#);
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(
        (header("x-own"), header("x-var"), header("x-home")),
        ("v".to_owned(), "Bearer s3cret".to_owned(), String::new())
    );

    let (head, answer) = log.split_once("\nResponse:\n").unwrap();
    let expected = format!(
        "Request:\nPOST {url}/tell\nQuery Params:\nmany: a\nmany: b\none: 1\nHeaders:\nContent-Type: application/json\nX-Home: *******\nX-Own: v\nX-Var: *******\nRequest Body:\n{{\"event_type\":\"pre-commit\"}}\n\n\nRequest duration: 0s\n"
    );
    assert_eq!(head, expected);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Type: text/plain; charset=utf-8\r\nDate: "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nchecked"), "{answer}");
}

#[tokio::test]
async fn error_status_fails_the_hook() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&format!("{url}/fail"))).await;
    assert_eq!(
        outcome.unwrap_err(),
        "webhook request failed (status code: 400)"
    );
    assert!(
        log.contains("HTTP/1.1 400 Bad Request\r\n") && log.ends_with("checked"),
        "{log}"
    );
}

#[tokio::test]
async fn missing_response_times_out() {
    let (url, _) = server().await;
    let mut hook = hook(&format!("{url}/slow"));
    hook.timeout = Duration::from_millis(50);
    let (outcome, log) = run(&hook).await;
    assert_eq!(
        outcome.unwrap_err(),
        format!(
            "Post \"{url}/slow\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )
    );
    assert!(log.ends_with("Request duration: 0s\n"), "{log}");
}

#[tokio::test]
async fn connection_error_does_not_show_the_query() {
    // The port is bound and released again, so nothing listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut hook = hook(&format!("http://{free}/x"));
    hook.query_params = pairs(&[("token", "{{ ENV.LAKEFSACTION_TOKEN }}")]);
    let (outcome, log) = run(&hook).await;
    assert_eq!(
        outcome.unwrap_err(),
        format!("Post \"http://{free}/x\": dial tcp {free}: connect: connection refused")
    );
    assert!(
        !log.contains("s3cret") && log.contains("token: *******"),
        "{log}"
    );
}

#[tokio::test]
async fn long_response_is_truncated() {
    let (url, _) = server().await;
    let (outcome, log) = run(&hook(&format!("{url}/huge"))).await;
    assert_eq!(outcome, Ok(()));
    assert!(
        log.ends_with("[response truncated at 65536 bytes]\n")
            && log.len() < MAX_RESPONSE_BYTES + 2_000
    );
}

#[tokio::test]
async fn redirects_are_limited_and_stay_on_their_host() {
    let (url, seen) = server().await;
    assert_eq!(run(&hook(&format!("{url}/moved"))).await.0, Ok(()));
    seen.lock().unwrap().clear();
    let error = run(&hook(&format!("{url}/loop"))).await.0.unwrap_err();
    assert_eq!(
        error,
        format!("Post \"{url}/loop\": stopped after 10 redirects")
    );
    assert_eq!(seen.lock().unwrap().len(), 11);
    let error = run(&hook(&format!("{url}/away"))).await.0.unwrap_err();
    assert_eq!(error, "webhook request failed (status code: 307)");
}

/// Regression test: such redirects were followed with a GET, and a service that answered the GET with
/// 200 let every change pass.
#[tokio::test]
async fn redirect_that_drops_the_event_fails_the_hook() {
    let (url, seen) = server().await;
    for (path, status) in [
        ("301", 301),
        ("302", 302),
        ("303", 303),
        ("307-to-302", 302),
    ] {
        let hook = hook(&format!("{url}/{path}"));
        let (outcome, log) = deliver(&hook, WebhookOptions::default(), Proxies::of_process()).await;
        let failed = outcome.unwrap_err();
        assert_eq!(
            failed.message,
            format!("webhook request failed (status code: {status})")
        );
        let expected = format!(
            "the service answered {status} with Location {url}/ok: name that address in 'url'; a redirect of this kind would drop the request's body, so it is not followed; "
        );
        let hint = failed.hint.unwrap();
        assert!(hint.starts_with(&expected), "{hint}");
        assert!(log.contains(&format!("HTTP/1.1 {status} ")), "{log}");
    }
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|(uri, ..)| !uri.starts_with("/ok"))
    );
}

/// Regression test: the log did not show that another address had answered.
#[tokio::test]
async fn followed_redirect_repeats_the_event_and_is_logged() {
    let (url, seen) = server().await;
    for (path, status, target) in [("moved", 307, "/ok"), ("308", 308, "/ok?token=t0ken")] {
        let (outcome, log) = run(&hook(&format!("{url}/{path}"))).await;
        assert_eq!(outcome, Ok(()));
        let line = format!("\nRequest duration: 0s\nRedirect: {status} to {url}/ok\n\nResponse:\n");
        assert!(log.contains(&line), "{log}");
        let (uri, _, body) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(
            (&*uri, &*body),
            (target, &br#"{"event_type":"pre-commit"}"#[..])
        );
    }
    let (_, log) = run(&hook(&format!("{url}/loop"))).await;
    assert_eq!(log.matches("Redirect: 307 to ").count(), 10, "{log}");
}

/// Regression test: the `Content-Length` from an action file was sent, so a service and a proxy could
/// disagree about where the request ends.
#[tokio::test]
async fn headers_of_the_connection_are_not_taken_from_the_action_file() {
    let (url, seen) = server().await;
    let mut hook = hook(&format!("{url}/tell"));
    hook.headers = pairs(&[
        ("Content-Length", "3"),
        ("transfer-encoding", "chunked"),
        ("Connection", "upgrade"),
        ("HOST", "other.example"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Trailer", "X-Own"),
        ("Keep-Alive", "timeout=1"),
        ("HTTP2-Settings", "AA"),
        ("Proxy-Authorization", "Basic eA=="),
        ("X-Own", "v"),
    ]);
    let (outcome, log) = run(&hook).await;
    assert_eq!(outcome, Ok(()));
    let (_, headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(body, r#"{"event_type":"pre-commit"}"#);
    let length = body.len().to_string();
    assert_eq!(headers["content-length"], *length);
    assert_eq!(headers["host"], *url.strip_prefix("http://").unwrap());
    assert_eq!(headers["x-own"], "v");
    for (name, _) in &hook.headers[1..10] {
        assert!(name == "HOST" || !headers.contains_key(name), "{name}");
    }
    assert!(
        log.contains("\nHeaders:\nContent-Type: application/json\nX-Own: v\nRequest Body:"),
        "{log}"
    );
}

/// Regression test: `failed (status code: 307)` did not say that a redirect was not followed.
#[tokio::test]
async fn fixable_failure_has_a_hint() {
    let (url, _) = server().await;
    let hint = async |hook: &WebhookProperties| {
        let failed = deliver(hook, WebhookOptions::default(), Proxies::of_process())
            .await
            .0;
        failed.unwrap_err().hint
    };
    assert_eq!(
        hint(&hook(&format!("{url}/away"))).await.unwrap(),
        "the response redirects to another server (http://127.0.0.2:9); such redirects are not followed because requests may contain secrets: set 'url' to the final address of the service; the service's answer is in the hook's log: GET /log"
    );
    assert_eq!(
        hint(&hook(&format!("{url}/fail"))).await.unwrap(),
        "the service's answer is in the hook's log: GET /log"
    );
    let mut slow = hook(&format!("{url}/slow"));
    slow.timeout = Duration::from_millis(50);
    assert_eq!(
        hint(&slow).await.unwrap(),
        "the service did not answer within 'timeout', which is 50ms: let it answer sooner, or raise 'timeout' (at most 1h)"
    );
    assert_eq!(
        hint(&hook(&url.replace("http:", "https:"))).await.unwrap(),
        "the service answers this port without TLS: write 'http://' in 'url', or the port at which it serves https"
    );
    let mut unusable = hook(&url);
    unusable.target = Target::Unusable("unsupported protocol scheme \"\"".to_owned());
    assert_eq!(
        hint(&unusable).await.unwrap(),
        "write the whole URL, with its scheme: https://hooks.example.com/gate"
    );
}

/// If it could be called, everyone who can commit an action file could read the server's own
/// credentials in the log.
#[tokio::test]
async fn cloud_metadata_service_is_never_called() {
    let (outcome, log) = run(&hook("http://169.254.169.254/latest/meta-data/")).await;
    assert_eq!(
        outcome.unwrap_err(),
        "Post \"http://169.254.169.254/latest/meta-data/\": 169.254.169.254 is a link-local address or a cloud's metadata service: webhooks cannot call it"
    );
    assert!(!log.contains("Response:"), "{log}");
}

#[tokio::test]
async fn header_with_line_break_is_rejected() {
    let mut hook = hook("http://127.0.0.1:9/x");
    hook.headers = pairs(&[("X-A", "b\r\nX-C: d")]);
    assert_eq!(
        run(&hook).await.0.unwrap_err(),
        "the value of header \"X-A\" is not valid"
    );
}

#[test]
fn secrets_are_not_sent_to_other_ports_or_from_https_to_http() {
    let same = |from: &str, to: &str| {
        super::redirects::is_same_server(&from.parse().unwrap(), &to.parse().unwrap())
    };
    assert!(same("https://a.example/x", "https://a.example:443/y"));
    assert!(same("http://a.example:8080/x", "http://a.example:8080/y"));
    assert!(same("http://a.example/x", "https://a.example/x"));
    assert!(!same("https://a.example/x", "http://a.example/x"));
    assert!(!same("http://a.example/x", "http://a.example:8080/x"));
    assert!(!same("http://a.example/x", "https://a.example:8443/x"));
    assert!(!same("https://a.example/x", "https://b.example/x"));
}

/// Services echo requests in error pages and debugging tools.
#[tokio::test]
async fn echoed_secret_is_masked() {
    let (url, _) = server().await;
    for path in ["echo", "echo-in-pieces"] {
        let mut hook = hook(&format!("{url}/{path}"));
        hook.headers = pairs(&[("X-Var", "Bearer {{ ENV.LAKEFSACTION_TOKEN }}")]);
        hook.query_params = pairs(&[("token", "{{ ENV.LAKEFSACTION_TOKEN }}")]);
        let (outcome, log) = run(&hook).await;
        assert_eq!(outcome, Ok(()), "{log}");
        assert!(!log.contains("s3cret"), "{log}");
        let (_, answer) = log.split_once("\nResponse:\n").unwrap();
        // In a header, and in the body as a parameter and as a header.
        assert!(answer.contains("X-Echo: Bearer *******\r\n"), "{answer}");
        assert!(
            answer.ends_with("you sent /*******?token=******* and Bearer *******"),
            "{answer}"
        );
    }
}

/// Regression test: redirects, the response's head and error texts were searched for secrets on the
/// thread that serves requests.
#[tokio::test]
async fn no_serving_thread_searches_for_secrets() {
    let (url, _) = server().await;
    for path in ["echo", "moved", "301", "away", "loop"] {
        let mut hook = hook(&format!("{url}/{path}"));
        hook.headers = pairs(&[("X-Var", "Bearer {{ ENV.LAKEFSACTION_TOKEN }}")]);
        let (_, log) = run(&hook).await;
        assert!(log.contains("Request duration:"), "{log}");
    }
    // This test has one thread for everything but blocking tasks.
    assert_eq!(SEARCHES_ON_THREAD.get(), 0);
}

#[tokio::test]
async fn broken_response_shows_no_part_of_a_secret() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hook = hook(&format!("http://{}/x", listener.local_addr().unwrap()));
    hook.headers = pairs(&[("X-Var", "{{ ENV.LAKEFSACTION_TOKEN }}")]);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The whole request arrives before the response is sent, in one piece or two.
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nyou sent s3cr";
        stream.write_all(answer).await.unwrap();
    };
    let ((outcome, log), ()) = tokio::join!(run(&hook), server);
    assert!(outcome.is_err(), "{log}");
    assert!(
        !log.contains("s3cr") && log.ends_with("you sent *******"),
        "{log}"
    );
}

/// Calls a host at the port of `url` and returns the reason for the refusal.
async fn refused(url: &str, host: &str, options: WebhookOptions) -> String {
    let port = url.rsplit_once(':').unwrap().1;
    let url = format!("http://{host}:{port}/x");
    let (outcome, log) = run_with(&hook(&url), options, Proxies::of_process()).await;
    assert!(!log.contains("Response:"), "{log}");
    outcome.unwrap_err()
}

#[tokio::test]
async fn denied_targets_are_not_called() {
    let (url, seen) = server().await;
    // As an address, in another notation, and by a name that resolves to it.
    for host in [
        "127.0.0.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "localhost",
    ] {
        let message = refused(&url, host, targets(&[], &["127.0.0.0/8", "::1"])).await;
        assert!(
            message.contains("is in actions.webhook.deny"),
            "{host}: {message}"
        );
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn targets_that_are_not_allowed_are_not_called() {
    let (url, seen) = server().await;
    let options = targets(&["10.0.0.0/8", "hooks.example"], &[]);
    assert_eq!(
        refused(&url, "127.0.0.1", options).await,
        format!(
            "Post \"{url}/x\": 127.0.0.1 is not in actions.webhook.allow in the server's configuration"
        )
    );
    let message = refused(&url, "localhost", targets(&["hooks.example"], &[])).await;
    assert!(
        message.contains("localhost is not in actions.webhook.allow"),
        "{message}"
    );
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn names_are_allowed_by_name_or_by_address() {
    let (url, _) = server().await;
    let port = url.rsplit_once(':').unwrap().1;
    let url = format!("http://localhost:{port}/x");
    for allow in ["127.0.0.0/8", "localhost"] {
        let options = targets(&[allow, "::1"], &[]);
        let (outcome, _) = run_with(&hook(&url), options, Proxies::of_process()).await;
        assert_eq!(outcome, Ok(()), "{allow}");
    }
}

/// A proxy resolves the target's name itself, so the server checks the name first.
#[tokio::test]
async fn forbidden_targets_are_not_sent_to_a_proxy() {
    let (proxy, seen) = server().await;
    let call = async |url: &str, options: WebhookOptions| {
        run_with(&hook(url), options, Proxies::one(&proxy)).await.0
    };
    for (url, why) in [
        ("http://169.254.169.254/latest", "metadata service"),
        ("http://[64:ff9b::a9fe:a9fe]/latest", "metadata service"),
        (
            "http://no-such-host.invalid/x",
            "does not resolve on the server",
        ),
    ] {
        let message = call(url, WebhookOptions::default()).await.unwrap_err();
        assert!(message.contains(why), "{message}");
    }
    let message = call("http://hooks.invalid/x", targets(&[], &["*.invalid"]))
        .await
        .unwrap_err();
    assert!(message.contains("actions.webhook.deny"), "{message}");
    assert!(seen.lock().unwrap().is_empty());

    call("http://hooks.invalid/x", targets(&["hooks.invalid"], &[]))
        .await
        .unwrap();
    call("http://203.0.113.7/x", WebhookOptions::default())
        .await
        .unwrap();
    let called: Vec<String> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(uri, ..)| uri.clone())
        .collect();
    assert_eq!(called, ["http://hooks.invalid/x", "http://203.0.113.7/x"]);
}

/// Regression test: with a proxy for `http` only, the client for proxied targets followed a redirect
/// to `https` and connected directly, without a check of the address.
#[tokio::test]
async fn redirects_do_not_change_whether_a_proxy_is_used() {
    let (proxy, seen) = server().await;
    let proxies = || Proxies::for_http(&proxy);
    let options = || targets(&["hooks.invalid"], &["127.0.0.0/8"]);
    let away = hook("http://hooks.invalid/to-https");
    let failed = deliver(&away, options(), proxies()).await.0.unwrap_err();
    assert_eq!(failed.message, "webhook request failed (status code: 307)");
    let hint = failed.hint.unwrap();
    assert!(
        hint.starts_with("the response redirects to https://hooks.invalid/ok, and the server's proxies apply to only one"),
        "{hint}"
    );
    assert_eq!(seen.lock().unwrap().len(), 1);

    let stays = hook("http://hooks.invalid/308");
    let (outcome, _) = deliver(&stays, options(), proxies()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(
        seen.lock().unwrap()[2].0,
        "http://hooks.invalid/ok?token=t0ken"
    );
}

/// The headers that identify requests caused by webhooks.
#[tokio::test]
async fn request_has_run_and_depth_headers() {
    let (url, seen) = server().await;
    let mut hook = hook(&format!("{url}/tell"));
    hook.headers = pairs(&[("x-weir-run-token", "forged"), ("X-Weir-Run-Id", "forged")]);
    let (outcome, log) = run_with(&hook, targets(&[], &[]), Proxies::of_process()).await;
    assert_eq!(outcome, Ok(()));
    let (_, headers, _) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(headers["x-weir-run-id"], "run1");
    let token = headers["x-weir-run-token"].to_str().unwrap();
    assert!(
        token.starts_with("run1.0.") && !log.contains(token),
        "{token}"
    );
    let agent = headers["user-agent"].to_str().unwrap();
    assert!(
        agent.starts_with("weir/") && agent.ends_with(" run/run1 depth/0"),
        "{agent}"
    );

    hook.headers = pairs(&[("User-Agent", "ours/1")]);
    assert_eq!(run(&hook).await.0, Ok(()));
    assert_eq!(
        seen.lock().unwrap().pop().unwrap().1["user-agent"],
        "ours/1"
    );
}
