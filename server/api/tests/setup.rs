//! A new server: who may ask, before and after its administrator is made.

use http::Method;
use serde_json::json;

use crate::harness::{ACCESS_KEY, Ask, SECRET_KEY, TestApi};

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
    let contract = http::Request::get("/openapi.json")
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(
        api.send(contract).await.expect(200).json()["info"]["title"],
        "Weir"
    );
}
