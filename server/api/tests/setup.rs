//! Setting up a server, and authentication before and after that.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{ACCESS_KEY, Answer, RequestParts, SECRET_KEY, SETUP_TOKEN, TestApi};

#[tokio::test]
async fn server_is_set_up_once() {
    let api = TestApi::unset().await;
    let state = api.get_anonymous("/setup_lakefs").await.expect(200).json();
    assert_eq!(
        (&state["state"], &state["login_config"]["RBAC"]),
        (&json!("not_initialized"), &json!("none"))
    );
    api.post("/setup_lakefs", &json!({"username": ""}))
        .await
        .expect(400);
    api.set_up().await;
    api.post("/setup_lakefs", &json!({"username": "other"}))
        .await
        .expect(409);
    assert_eq!(
        api.get_anonymous("/setup_lakefs").await.expect(200).json()["state"],
        "initialized"
    );
    api.get("/repositories").await.expect(200);
}

/// The hint must not be "check the access key" as long as there is none.
#[tokio::test]
async fn callers_without_a_key_are_told_to_set_up_only_before_it() {
    let api = TestApi::unset().await;
    let refused = api.get("/repositories").await.expect(401);
    assert_eq!(refused.message(), "error authenticating request");
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(401);
    for refused in [refused, login] {
        let hint = refused.hint();
        assert!(hint.contains("POST /api/v1/setup_lakefs"), "{hint}");
    }
    api.set_up().await;
    let hint = api.get_anonymous("/repositories").await.expect(401).hint();
    assert!(!hint.contains("setup_lakefs"), "{hint}");
}

#[tokio::test]
async fn contact_form_is_stored_once_after_the_setup() {
    let api = TestApi::unset().await;
    let form = json!({"email": "a@example.com", "featureUpdates": false, "securityUpdates": false});
    api.post("/setup_comm_prefs", &form).await.expect(412);
    api.set_up().await;
    api.post("/setup_comm_prefs", &form).await.expect(200);
    api.post("/setup_comm_prefs", &form).await.expect(409);
}

/// Asks for an administrator from an address.
async fn set_up_from(api: &TestApi, peer: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post("/api/v1/setup_lakefs")
        .header("content-type", "application/json")
        .header("host", "127.0.0.1:8000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(json!({"username": "eve"}).to_string());
    api.send_from(peer, request.body(body).unwrap()).await
}

const REMOTE: &str = "203.0.113.9:5000";
const OWN: &str = "127.0.0.1:5000";

/// Guards against a bug: the first caller of a new server became its administrator.
#[tokio::test]
async fn remote_and_forwarded_callers_cannot_create_the_administrator() {
    let api = TestApi::unset().await;
    let refused = set_up_from(&api, REMOTE, &[]).await.expect(401);
    assert_eq!(refused.message(), "setup token required");
    let hint = refused.hint();
    assert!(
        hint.contains("X-Weir-Setup-Token") && hint.contains("start log"),
        "{hint}"
    );
    for header in [
        ("x-forwarded-for", "203.0.113.9"),
        ("host", "rebound.example"),
    ] {
        set_up_from(&api, OWN, &[header]).await.expect(401);
    }
    let wrong = [("x-weir-setup-token", "a-setup-token-for-tests?")];
    let refused = set_up_from(&api, REMOTE, &wrong).await.expect(403);
    assert_eq!(refused.message(), "wrong setup token");
    let hint = refused.hint();
    assert!(hint.contains("start log"), "{hint}");
    let state = api.get_anonymous("/setup_lakefs").await.json();
    assert_eq!(state["state"], "not_initialized");
}

#[tokio::test]
async fn remote_caller_with_the_token_creates_the_administrator() {
    let api = TestApi::unset().await;
    let token = [
        ("x-weir-setup-token", SETUP_TOKEN),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    set_up_from(&api, REMOTE, &token).await.expect(200);
    // Once an administrator exists, all callers get the response of lakeFS.
    set_up_from(&api, REMOTE, &[]).await.expect(409);
    set_up_from(&api, OWN, &[]).await.expect(409);
}

#[tokio::test]
async fn configured_token_is_named_in_the_hint() {
    let api = TestApi::unset_with_configured_token().await;
    let proxied = [("x-forwarded-for", "203.0.113.9")];
    let refused = set_up_from(&api, OWN, &proxied).await.expect(401);
    assert_eq!(refused.message(), "setup token required");
    let hint = refused.hint();
    assert!(hint.contains("installation.setup_token"), "{hint}");
    let with_token = |token| [proxied[0], ("x-weir-setup-token", token)];
    let wrong = with_token("a wrong token");
    set_up_from(&api, OWN, &wrong).await.expect(403);
    let right = with_token(SETUP_TOKEN);
    set_up_from(&api, OWN, &right).await.expect(200);
}

#[tokio::test]
async fn configured_token_is_not_required_from_local_callers() {
    let api = TestApi::unset_with_configured_token().await;
    set_up_from(&api, OWN, &[]).await.expect(200);
}

/// Guards against a bug: the administrator's key could never authenticate, and setup cannot be repeated.
#[tokio::test]
async fn key_id_that_cannot_authenticate_is_refused_with_a_hint() {
    let api = TestApi::unset().await;
    for id in ["a:b", "a/b", "a b", "a\u{1}b"] {
        let key = json!({"access_key_id": id, "secret_access_key": SECRET_KEY});
        let body = json!({"username": "admin", "key": key});
        let refused = api.post("/setup_lakefs", &body).await.expect(400);
        assert!(refused.message().contains("access_key_id"), "{id}");
        assert!(refused.hint().contains("leave out `key`"), "{id}");
    }
    let state = api.get_anonymous("/setup_lakefs").await.expect(200).json();
    assert_eq!(state["state"], "not_initialized");
}

/// Guards against a bug: the administrator's secret could have one byte.
#[tokio::test]
async fn short_secret_is_refused_with_a_hint() {
    let api = TestApi::unset().await;
    let key = json!({"access_key_id": "AKIAJTEST", "secret_access_key": "s"});
    let body = json!({"username": "admin", "key": key});
    let refused = api.post("/setup_lakefs", &body).await.expect(400);
    assert_eq!(
        refused.message(),
        "secret_access_key has fewer than 16 bytes and can be guessed"
    );
    let hint = refused.hint();
    assert!(hint.contains("leave out `key`"), "{hint}");
    let state = api.get_anonymous("/setup_lakefs").await.expect(200).json();
    assert_eq!(state["state"], "not_initialized");
}

/// The server grants more memory to connections of known callers.
#[tokio::test]
async fn authenticated_request_makes_its_connection_known() {
    let api = TestApi::new().await;
    let connection = auth::ConnectionTrust::default();
    let send = async |secret: &str| {
        let key = STANDARD.encode(format!("{ACCESS_KEY}:{secret}"));
        let request = Request::get("/api/v1/user")
            .header("authorization", format!("Basic {key}"))
            .extension(connection.clone());
        api.send(request.body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(send("a wrong secret").await, 401);
    assert!(!connection.is_known());
    assert_eq!(send(SECRET_KEY).await, 200);
    assert!(connection.is_known());
}

/// A server and the session cookie of its administrator.
async fn with_cookie() -> (TestApi, String) {
    let api = TestApi::new().await;
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(200);
    let cookie = login.header("set-cookie").split(';').next().unwrap();
    let cookie = cookie.to_owned();
    (api, cookie)
}

/// Sends a request without a key.
async fn send(
    api: &TestApi,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("content-type", "application/json")
        .header("host", "127.0.0.1:8000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

fn repository(name: &str) -> Value {
    json!({"name": name, "storage_namespace": format!("mem://{name}")})
}

const OTHER_ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:3000");

/// Browsers send a cookie with every request to its host, even if the page is from another port.
#[tokio::test]
async fn cookie_does_not_authorize_writes_from_other_pages() {
    let (api, cookie) = with_cookie().await;
    let object = "/repositories/none/branches/main/objects?path=x";
    for (method, path, header) in [
        (Method::POST, "/repositories", OTHER_ORIGIN),
        (
            Method::POST,
            "/repositories",
            ("sec-fetch-site", "cross-site"),
        ),
        (
            Method::POST,
            "/repositories",
            ("sec-fetch-site", "same-site"),
        ),
        (Method::DELETE, "/repositories/none", ("origin", "null")),
        (Method::POST, object, OTHER_ORIGIN),
    ] {
        let headers = [("cookie", cookie.as_str()), header];
        let refused = send(&api, method, path, &headers, repository("stolen")).await;
        let hint = refused.expect(403).hint();
        assert!(hint.contains("Origin"), "{path} {header:?}: {hint}");
    }
    api.get("/repositories/stolen").await.expect(404);
}

#[tokio::test]
async fn cookie_authorizes_own_pages_and_programs() {
    let (api, cookie) = with_cookie().await;
    let cookie = ("cookie", cookie.as_str());
    let own_page = [cookie, ("origin", "http://127.0.0.1:8000")];
    for (headers, name) in [(&own_page[..], "own"), (&[cookie], "program")] {
        let body = repository(name);
        send(&api, Method::POST, "/repositories", headers, body)
            .await
            .expect(201);
    }
}

/// Browsers add neither a token to a request nor a change to a read.
#[tokio::test]
async fn reads_and_tokens_work_from_other_pages() {
    let (api, cookie) = with_cookie().await;
    let headers = [("cookie", cookie.as_str()), OTHER_ORIGIN];
    send(&api, Method::GET, "/repositories", &headers, json!({}))
        .await
        .expect(200);
    let bearer = format!("Bearer {}", cookie.split_once('=').unwrap().1);
    let headers = [("authorization", bearer.as_str()), OTHER_ORIGIN];
    let body = repository("bearer");
    send(&api, Method::POST, "/repositories", &headers, body)
        .await
        .expect(201);
}

#[tokio::test]
async fn session_works_by_token_and_by_cookie() {
    let (api, cookie) = with_cookie().await;
    let bearer = format!("Bearer {}", cookie.split_once('=').unwrap().1);
    let cookie = format!("a=b; {cookie}");
    for header in [("authorization", bearer.as_str()), ("cookie", &cookie)] {
        let user = send(&api, Method::GET, "/user", &[header], json!({})).await;
        assert_eq!(user.expect(200).json()["user"]["id"], "admin");
    }
}

#[tokio::test]
async fn login_answers_the_token_and_sets_it_as_a_cookie() {
    let api = TestApi::new().await;
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(200);
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let cookie = login.header("set-cookie");
    assert!(
        cookie.contains(&format!("={token};")) && cookie.contains("HttpOnly"),
        "{cookie}"
    );
}

#[tokio::test]
async fn login_fails_without_the_right_secret() {
    let api = TestApi::new().await;
    let wrong = json!({"access_key_id": ACCESS_KEY, "secret_access_key": "no"});
    let refused = api.post("/auth/login", &wrong).await.expect(401);
    assert_eq!(refused.message(), "error authenticating request");
    let empty = RequestParts {
        anonymous: true,
        ..RequestParts::default()
    };
    api.request(Method::POST, "/auth/login", empty)
        .await
        .expect(401);
}

#[tokio::test]
async fn invalid_header_is_refused_despite_a_valid_cookie() {
    let (api, cookie) = with_cookie().await;
    let headers = [("authorization", "Bearer a.b.c"), ("cookie", &cookie)];
    send(&api, Method::GET, "/user", &headers, json!({}))
        .await
        .expect(401);
}

#[tokio::test]
async fn server_reports_its_configuration() {
    let api = TestApi::new().await;
    let config = api.get("/config").await.expect(200).json();
    assert_eq!(config["storage_config"]["blockstore_type"], "mem");
    assert_eq!(
        config["version_config"],
        json!({"version": "1.84.0", "weir_version": "0.1.0", "version_context": "lakeFS"})
    );
    for part in ["version", "storage"] {
        let answer = api.get(&format!("/config/{part}")).await.expect(200);
        assert_eq!(answer.json(), config[format!("{part}_config")], "{part}");
    }
}

#[tokio::test]
async fn garbage_collection_has_a_grace_period() {
    let api = TestApi::new().await;
    let rules = api.get("/config/garbage-collection").await.expect(200);
    assert_eq!(rules.json(), json!({"grace_period": 86400}));
}

#[tokio::test]
async fn administrator_is_the_only_user() {
    let api = TestApi::new().await;
    let users = api.get("/auth/users").await.expect(200).json();
    assert_eq!(users["pagination"]["results"], 1);
    api.get("/auth/users/nobody").await.expect(404);
    api.post("/auth/users", &json!({"id": "u"}))
        .await
        .expect(409);
}

#[tokio::test]
async fn health_check_needs_no_credentials() {
    let api = TestApi::new().await;
    api.get_anonymous("/healthcheck").await.expect(204);
}

#[tokio::test]
async fn contract_is_served_as_json() {
    let api = TestApi::new().await;
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let contract = api.send(request).await.expect(200).json();
    assert_eq!(contract["info"]["title"], "Weir");
}

/// A server with the repository `lake` and an object, and its configuration. Clients offer what the configuration reports,
/// so the tests compare it with the server's behaviour.
async fn configured() -> (TestApi, Value) {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api.put_object("lake", "main", "a", "1").await.expect(201);
    let config = api.get("/config").await.expect(200).json();
    (api, config)
}

/// Capabilities that are not reported answer 501, and operations that answer 501 are not reported.
#[tokio::test]
async fn reported_capabilities_match_the_behaviour() {
    let (api, config) = configured().await;
    let branch = "/repositories/lake/branches/main";
    let import = json!({
        "paths": [{"type": "object", "path": "mem://elsewhere/x", "destination": "x"}],
        "commit": {"message": "m"},
    });
    for (name, path, body) in [
        ("import_support", format!("{branch}/import"), import),
        (
            "pre_sign_multipart_upload",
            format!("{branch}/staging/pmpu?path=x"),
            json!({}),
        ),
    ] {
        let status = api.post(&path, &body).await.status;
        let is_offered = config["storage_config"][name] == json!(true);
        assert_eq!(is_offered, status != 501, "{name}: {status}");
    }
}

#[tokio::test]
async fn presigned_addresses_are_reported_if_the_server_makes_them() {
    let (api, config) = configured().await;
    let stat = "/repositories/lake/refs/main/objects/stat?path=a&presign=true";
    let answer = api.get(stat).await;
    let is_signed = answer.status == 200
        && answer.json()["physical_address"]
            .as_str()
            .unwrap()
            .starts_with("http");
    let storage = &config["storage_config"];
    assert_eq!(storage["pre_sign_support"], is_signed, "{}", answer.status);
    assert!(is_signed || storage["pre_sign_support_ui"] == json!(false));
}

/// Clients append a slash and a name to the prefix.
#[tokio::test]
async fn namespace_from_the_reported_prefix_is_accepted() {
    let (api, config) = configured().await;
    let prefix = config["storage_config"]["default_namespace_prefix"].as_str();
    let prefix = prefix.unwrap();
    let lake = api.get("/repositories/lake").await.expect(200).json();
    assert!(
        lake["storage_namespace"]
            .as_str()
            .unwrap()
            .starts_with(prefix)
    );
    let proposed = json!({"name": "proposed", "storage_namespace": format!("{prefix}/proposed")});
    api.post("/repositories", &proposed).await.expect(201);
}

#[tokio::test]
async fn namespaces_of_the_reported_pattern_are_accepted() {
    let (api, config) = configured().await;
    let storage = &config["storage_config"];
    let pattern = storage["blockstore_namespace_ValidityRegex"].as_str();
    let pattern = regex::Regex::new(pattern.unwrap()).unwrap();
    let example = storage["blockstore_namespace_example"].as_str().unwrap();
    for (name, namespace, status) in [("example", example, 201), ("foreign", "s3://bucket/x", 400)]
    {
        let creation = json!({"name": name, "storage_namespace": namespace});
        api.post("/repositories", &creation).await.expect(status);
        assert_eq!(pattern.is_match(namespace), status == 201, "{namespace}");
    }
}

#[tokio::test]
async fn one_store_without_a_name_is_reported() {
    let (api, config) = configured().await;
    assert_eq!(config["storage_config_list"], json!([]));
    assert_eq!(config["storage_config"]["blockstore_id"], "");
    let named = json!({"name": "named", "storage_namespace": "mem://named", "storage_id": "other"});
    api.post("/repositories", &named).await.expect(400);
}

#[tokio::test]
async fn neither_a_console_nor_a_newer_version_is_reported() {
    let (api, config) = configured().await;
    assert_eq!(config["ui_config"], json!({}));
    assert_eq!(config["capabilities_config"], json!({}));
    for member in ["latest_version", "upgrade_recommended", "upgrade_url"] {
        assert!(config["version_config"].get(member).is_none(), "{member}");
    }
    assert_eq!(
        api.get("/auth/capabilities").await.expect(200).json(),
        json!({"invite_user": false, "forgot_password": false})
    );
}

#[tokio::test]
async fn sample_data_is_committed_to_the_default_branch() {
    let api = TestApi::new().await;
    for read_only in [false, true] {
        let name = format!("lakes-{read_only}");
        let creation = json!({
            "name": name,
            "storage_namespace": format!("mem://{name}"),
            "default_branch": "trunk",
            "sample_data": true,
            "read_only": read_only,
        });
        api.post("/repositories", &creation).await.expect(201);
        let trunk = format!("/repositories/{name}/refs/trunk");
        let log = api
            .get(&format!("{trunk}/commits"))
            .await
            .expect(200)
            .json();
        assert_eq!(log["results"][0]["message"], "Add sample data", "{log}");
        let listed = api.get(&format!("{trunk}/objects/ls?prefix=lakes.")).await;
        let listed = listed.expect(200).json();
        assert_eq!(listed["results"][0]["path"], "lakes.parquet");
    }
}

#[tokio::test]
async fn bare_repository_gets_no_sample_data() {
    let api = TestApi::new().await;
    let bare = json!({"name": "bare", "storage_namespace": "mem://bare", "sample_data": true});
    api.post("/repositories?bare=true", &bare).await.expect(201);
    let branches = api.get("/repositories/bare/branches").await.expect(200);
    assert_eq!(branches.json()["results"], json!([]));
}

/// Some clients concatenate the namespace prefix, a slash and the name.
#[tokio::test]
async fn namespace_has_one_spelling() {
    let api = TestApi::new().await;
    let creation = json!({"name": "lakes", "storage_namespace": "mem:///lakes"});
    let made = api
        .post("/repositories", &creation)
        .await
        .expect(201)
        .json();
    assert_eq!(made["storage_namespace"], "mem://lakes");
}
