//! A new server: who may ask, before and after its administrator is made.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{ACCESS_KEY, Answer, Ask, SECRET_KEY, SETUP_TOKEN, TestApi};

#[tokio::test]
async fn a_server_is_set_up_once() {
    let api = TestApi::unset().await;
    let state = api.get_anonymous("/setup_lakefs").await.expect(200).json();
    assert_eq!(
        (&state["state"], &state["login_config"]["RBAC"]),
        (&json!("not_initialized"), &json!("none"))
    );
    assert_eq!(
        api.get("/repositories").await.expect(401).message(),
        "error authenticating request"
    );
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

    let form = json!({"email": "a@example.com", "featureUpdates": false, "securityUpdates": false});
    api.post("/setup_comm_prefs", &form).await.expect(200);
    api.post("/setup_comm_prefs", &form).await.expect(409);
}

/// Before, whoever reached a new server first became its administrator.
#[tokio::test]
async fn the_first_administrator_is_made_on_the_machine_itself_or_with_the_token() {
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
    let told = ask(REMOTE, &[]).await.expect(401).message();
    assert!(
        told.contains("X-Weir-Setup-Token")
            && told.contains("start log")
            && told.contains("installation.setup_token"),
        "{told}"
    );
    ask(OWN, &[("x-forwarded-for", "203.0.113.9")])
        .await
        .expect(401);
    ask(OWN, &[("host", "rebound.example")]).await.expect(401);
    let wrong = [("x-weir-setup-token", "a-setup-token-for-tests?")];
    let told = ask(REMOTE, &wrong).await.expect(403).message();
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
    // Once there is one, all are told the same as on lakeFS.
    ask(REMOTE, &[]).await.expect(409);
    ask(OWN, &[]).await.expect(409);
}

/// A cookie goes with every request to its host, whichever page sends it: also of another port.
#[tokio::test]
async fn changes_by_cookie_come_from_own_pages_only() {
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
    assert!(
        refused.message().contains("Origin"),
        "{}",
        refused.message()
    );
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

    // Own pages, programs that keep the cookie, reads, and what no browser adds by itself.
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
async fn a_session_by_token_and_by_cookie() {
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
async fn a_header_that_is_wrong_is_not_made_good_by_a_cookie() {
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
async fn what_the_server_tells_of_itself() {
    let api = TestApi::new().await;
    let config = api.get("/config").await.expect(200).json();
    assert_eq!(config["storage_config"]["blockstore_type"], "mem");
    assert_eq!(
        config["version_config"],
        json!({"version": "0.1.0", "version_context": "lakeFS"})
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
