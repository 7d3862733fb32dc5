//! Setting up a server, and authentication before and after that.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{ACCESS_KEY, Answer, Ask, SECRET_KEY, SETUP_TOKEN, TestApi};

#[tokio::test]
async fn server_is_set_up_once() {
    let api = TestApi::unset().await;
    let state = api.get_anonymous("/setup_lakefs").await.expect(200).json();
    assert_eq!(
        (&state["state"], &state["login_config"]["RBAC"]),
        (&json!("not_initialized"), &json!("none"))
    );
    let refused = api.get("/repositories").await.expect(401);
    assert_eq!(refused.message(), "error authenticating request");
    // The hint must not be "check the access key", because there is none yet.
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(401);
    for refused in [refused, login] {
        let hint = refused.json()["hint"].clone();
        let hint = hint.as_str().unwrap();
        assert!(hint.contains("POST /api/v1/setup_lakefs"), "{hint}");
    }
    api.post(
        "/setup_comm_prefs",
        &json!({"featureUpdates": false, "securityUpdates": false}),
    )
    .await
    .expect(412);

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
    let unknown = api.get_anonymous("/repositories").await.expect(401).json();
    let hint = unknown["hint"].as_str().unwrap();
    assert!(!hint.contains("setup_lakefs"), "{hint}");

    let form = json!({"email": "a@example.com", "featureUpdates": false, "securityUpdates": false});
    api.post("/setup_comm_prefs", &form).await.expect(200);
    api.post("/setup_comm_prefs", &form).await.expect(409);
}

/// Guards against a bug: the first caller of a new server became its administrator.
#[tokio::test]
async fn first_administrator_requires_a_local_caller_or_the_token() {
    let api = TestApi::unset().await;
    let ask = async |peer: &str, headers: &[(&str, &str)]| -> Answer {
        let mut request = Request::post("/api/v1/setup_lakefs")
            .header("content-type", "application/json")
            .header("host", "127.0.0.1:8000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::from(json!({"username": "eve"}).to_string());
        api.send_from(peer, request.body(body).unwrap()).await
    };
    const REMOTE: &str = "203.0.113.9:5000";
    const OWN: &str = "127.0.0.1:5000";
    let refused = ask(REMOTE, &[]).await.expect(401);
    assert_eq!(refused.message(), "setup token required");
    let told = refused.json()["hint"].to_string();
    assert!(
        told.contains("X-Weir-Setup-Token") && told.contains("start log"),
        "{told}"
    );
    ask(OWN, &[("x-forwarded-for", "203.0.113.9")])
        .await
        .expect(401);
    ask(OWN, &[("host", "rebound.example")]).await.expect(401);
    let wrong = [("x-weir-setup-token", "a-setup-token-for-tests?")];
    let refused = ask(REMOTE, &wrong).await.expect(403);
    assert_eq!(refused.message(), "wrong setup token");
    let told = refused.json()["hint"].to_string();
    assert!(told.contains("start log"), "{told}");
    assert_eq!(
        api.get_anonymous("/setup_lakefs").await.json()["state"],
        "not_initialized"
    );

    let token = [
        ("x-weir-setup-token", SETUP_TOKEN),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    ask(REMOTE, &token).await.expect(200);
    // Once an administrator exists, all callers get the response of lakeFS.
    ask(REMOTE, &[]).await.expect(409);
    ask(OWN, &[]).await.expect(409);
}

/// Guards against a bug: a proxy on the server's machine looked local, and a configured token did not help.
#[tokio::test]
async fn configured_token_is_required_from_local_callers() {
    let api = TestApi::unset_with_configured_token().await;
    let body = json!({"username": "admin"});
    let refused = api.post("/setup_lakefs", &body).await.expect(401);
    assert_eq!(refused.message(), "setup token required");
    let hint = refused.hint();
    assert!(hint.contains("installation.setup_token"), "{hint}");
    let with_token = |token: &str| Ask {
        headers: vec![
            ("x-weir-setup-token", token.to_owned()),
            ("content-type", "application/json".to_owned()),
        ],
        body: body.to_string().into_bytes(),
        anonymous: true,
    };
    let ask = async |token: &str| {
        api.ask(Method::POST, "/setup_lakefs", with_token(token))
            .await
    };
    ask("a wrong token").await.expect(403);
    ask(SETUP_TOKEN).await.expect(200);
    ask("a wrong token").await.expect(409);
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
    let ask = async |secret: &str| {
        let key = STANDARD.encode(format!("{ACCESS_KEY}:{secret}"));
        let request = Request::get("/api/v1/user")
            .header("authorization", format!("Basic {key}"))
            .extension(connection.clone());
        api.send(request.body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(ask("a wrong secret").await, 401);
    assert!(!connection.is_known());
    assert_eq!(ask(SECRET_KEY).await, 200);
    assert!(connection.is_known());
}

/// Browsers send a cookie with every request to its host, even if the page is from another port.
#[tokio::test]
async fn cookie_authorizes_writes_only_from_own_pages() {
    let api = TestApi::new().await;
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(200);
    let cookie = login.header("set-cookie").split(';').next().unwrap();
    let token = cookie.split_once('=').unwrap().1;
    let bearer = format!("Bearer {token}");
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)], body: Value| -> Answer {
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
    };
    let evil = ("origin", "http://127.0.0.1:3000");
    let by_cookie = ("cookie", cookie);
    let body = |name: &str| json!({"name": name, "storage_namespace": format!("mem://{name}")});

    let refused = ask(
        Method::POST,
        "/repositories",
        &[by_cookie, evil],
        body("stolen"),
    )
    .await
    .expect(403);
    assert!(refused.hint().contains("Origin"), "{}", refused.message());
    for site in ["cross-site", "same-site"] {
        let headers = [by_cookie, ("sec-fetch-site", site)];
        ask(Method::POST, "/repositories", &headers, body("stolen"))
            .await
            .expect(403);
    }
    ask(
        Method::DELETE,
        "/repositories/none",
        &[by_cookie, ("origin", "null")],
        json!({}),
    )
    .await
    .expect(403);
    ask(
        Method::POST,
        "/repositories/none/branches/main/objects?path=x",
        &[by_cookie, evil],
        json!({}),
    )
    .await
    .expect(403);

    // Own pages, programs that store the cookie, reads, and credentials that browsers do not add automatically.
    ask(
        Method::POST,
        "/repositories",
        &[by_cookie, ("origin", "http://127.0.0.1:8000")],
        body("own"),
    )
    .await
    .expect(201);
    ask(Method::POST, "/repositories", &[by_cookie], body("program"))
        .await
        .expect(201);
    ask(Method::GET, "/repositories", &[by_cookie, evil], json!({}))
        .await
        .expect(200);
    ask(
        Method::POST,
        "/repositories",
        &[("authorization", &bearer), evil],
        body("bearer"),
    )
    .await
    .expect(201);
}

#[tokio::test]
async fn session_works_by_token_and_by_cookie() {
    let api = TestApi::new().await;
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(200);
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let cookie = login
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(login.header("set-cookie").contains("HttpOnly"));

    for header in [
        ("authorization", format!("Bearer {token}")),
        ("cookie", format!("a=b; {cookie}")),
    ] {
        let ask = Ask {
            headers: vec![header],
            anonymous: true,
            ..Ask::default()
        };
        let user = api.ask(Method::GET, "/user", ask).await.expect(200).json();
        assert_eq!(user["user"]["id"], "admin");
    }
    let wrong = json!({"access_key_id": ACCESS_KEY, "secret_access_key": "no"});
    assert_eq!(
        api.post("/auth/login", &wrong).await.expect(401).message(),
        "error authenticating request"
    );
    let empty = Ask {
        anonymous: true,
        ..Ask::default()
    };
    api.ask(Method::POST, "/auth/login", empty)
        .await
        .expect(401);
}

#[tokio::test]
async fn invalid_header_is_refused_despite_a_valid_cookie() {
    let api = TestApi::new().await;
    let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
    let login = api.post("/auth/login", &key).await.expect(200);
    let cookie = login
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let headers = vec![
        ("authorization", "Bearer a.b.c".to_owned()),
        ("cookie", cookie),
    ];
    api.ask(
        Method::GET,
        "/user",
        Ask {
            headers,
            anonymous: true,
            ..Ask::default()
        },
    )
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
    assert_eq!(
        api.get("/config/version").await.expect(200).json(),
        config["version_config"]
    );
    assert_eq!(
        api.get("/config/storage").await.expect(200).json(),
        config["storage_config"]
    );
    assert_eq!(config["storage_config_list"], json!([]));
    assert_eq!(
        api.get("/config/garbage-collection").await.json(),
        json!({"grace_period": 86400})
    );
    assert_eq!(
        api.get("/auth/users").await.expect(200).json()["pagination"]["results"],
        1
    );
    api.get("/auth/users/nobody").await.expect(404);
    api.post("/auth/users", &json!({"id": "u"}))
        .await
        .expect(409);
    api.get_anonymous("/healthcheck").await.expect(204);
    let contract = Request::get("/openapi.json").body(Body::empty()).unwrap();
    assert_eq!(
        api.send(contract).await.expect(200).json()["info"]["title"],
        "Weir"
    );
}

/// Clients offer the capabilities that the configuration reports, so each is compared with the server's behaviour.
#[tokio::test]
async fn reported_capabilities_match_the_behaviour() {
    let api = TestApi::new().await;
    let config = api.get("/config").await.expect(200).json();
    let storage = &config["storage_config"];
    api.repository("lake").await;
    let repository = api.get("/repositories/lake").await.expect(200).json();
    assert!(
        repository["storage_namespace"]
            .as_str()
            .unwrap()
            .starts_with(storage["default_namespace_prefix"].as_str().unwrap())
    );
    api.put_object("lake", "main", "a", "1").await.expect(201);

    // Capabilities that are not reported answer 501, and operations that answer 501 are not reported.
    let is_offered = |name: &str| storage[name] == json!(true);
    let branch = "/repositories/lake/branches/main";
    let import = json!({
        "paths": [{"type": "object", "path": "mem://elsewhere/x", "destination": "x"}],
        "commit": {"message": "m"},
    });
    let claims = [
        (
            "import_support",
            api.post(&format!("{branch}/import"), &import).await.status,
        ),
        (
            "pre_sign_multipart_upload",
            api.post(&format!("{branch}/staging/pmpu?path=x"), &json!({}))
                .await
                .status,
        ),
    ];
    for (name, status) in claims {
        assert_eq!(is_offered(name), status != 501, "{name}: {status}");
    }
    let stat = "/repositories/lake/refs/main/objects/stat?path=a&presign=true";
    let answer = api.get(stat).await;
    let is_signed = answer.status == 200
        && answer.json()["physical_address"]
            .as_str()
            .unwrap()
            .starts_with("http");
    assert_eq!(
        is_offered("pre_sign_support"),
        is_signed,
        "{}",
        answer.status
    );
    assert!(!is_offered("pre_sign_support_ui") || is_signed);

    // Clients append a slash and a name to the prefix.
    let prefix = storage["default_namespace_prefix"].as_str().unwrap();
    let creation = json!({"name": "proposed", "storage_namespace": format!("{prefix}/proposed")});
    api.post("/repositories", &creation).await.expect(201);

    // Namespaces that match the reported pattern are accepted.
    let matches = |name: &str, text: &str| {
        let regex = regex::Regex::new(storage[name].as_str().unwrap()).unwrap();
        regex.is_match(text)
    };
    let namespaces = "blockstore_namespace_ValidityRegex";
    let example = storage["blockstore_namespace_example"].as_str().unwrap();
    assert!(matches(namespaces, example), "{example}");
    for (name, namespace, status) in [("example", example, 201), ("foreign", "s3://bucket/x", 400)]
    {
        let creation = json!({"name": name, "storage_namespace": namespace});
        let answer = api.post("/repositories", &creation).await;
        assert_eq!(answer.status, status, "{namespace}");
        assert_eq!(matches(namespaces, namespace), status == 201, "{namespace}");
    }

    // One unnamed store, no console, no newer version known.
    assert_eq!(config["storage_config_list"], json!([]));
    assert_eq!(storage["blockstore_id"], "");
    let named = json!({"name": "named", "storage_namespace": "mem://named", "storage_id": "other"});
    api.post("/repositories", &named).await.expect(400);
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
async fn sample_data_is_added_unless_the_repository_is_bare() {
    let api = TestApi::new().await;
    let create = async |query: &str, creation: &Value| {
        let made = api.post(&format!("/repositories{query}"), creation).await;
        made.expect(201).json()
    };
    for read_only in [false, true] {
        let name = format!("lakes-{read_only}");
        // Some clients concatenate the namespace prefix and the name.
        let creation = json!({
            "name": name,
            "storage_namespace": format!("mem:///{name}"),
            "default_branch": "trunk",
            "sample_data": true,
            "read_only": read_only,
        });
        let made = create("", &creation).await;
        assert_eq!(made["storage_namespace"], format!("mem://{name}"));
        let log = api
            .get(&format!("/repositories/{name}/refs/trunk/commits"))
            .await;
        let log = log.expect(200).json();
        assert_eq!(log["results"][0]["message"], "Add sample data", "{log}");
        let path = format!("/repositories/{name}/refs/trunk/objects/ls?prefix=lakes.");
        let listed = api.get(&path).await.expect(200).json();
        assert_eq!(listed["results"][0]["path"], "lakes.parquet");
    }
    let bare = json!({"name": "bare", "storage_namespace": "mem://bare", "sample_data": true});
    create("?bare=true", &bare).await;
    let branches = api.get("/repositories/bare/branches").await.expect(200);
    assert_eq!(branches.json()["results"], json!([]));
}
