//! Setting up a server: its state, the first administrator, the contact form.
//!
//! These operations need no credentials. Only the creation of the administrator requires the setup token, and only of
//! remote callers.

use std::collections::BTreeMap;

use api_types as types;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use crate::error::{Context as _, During, Error, Result};
use crate::extract::Body;
use crate::first_caller::FirstCaller;
use crate::{ApiState, SharedState, convert};

pub(crate) async fn get_setup_state(
    State(api): State<SharedState>,
) -> Result<Json<types::SetupState>> {
    let state = api.auth.setup_state().await?;
    Ok(Json(types::SetupState {
        state: Some(match state.initialized {
            true => types::SetupStateState::Initialized,
            false => types::SetupStateState::NotInitialized,
        }),
        comm_prefs_missing: Some(state.comm_prefs_missing),
        login_config: Some(login_config(&api)),
    }))
}

fn login_config(api: &ApiState) -> types::LoginConfig {
    let options = &api.options;
    let method = if options.login_url.is_empty() {
        types::LoginConfigLoginUrlMethod::None
    } else {
        types::LoginConfigLoginUrlMethod::Redirect
    };
    types::LoginConfig {
        rbac: Some(types::LoginConfigRbac::None),
        login_url: options.login_url.clone(),
        login_url_method: Some(method),
        login_failed_message: Some(options.login_failed_message.clone()),
        login_cookie_names: options.login_cookie_names.clone(),
        logout_url: options.logout_url.clone(),
        ..types::LoginConfig::default()
    }
}

pub(crate) async fn setup(
    State(api): State<SharedState>,
    _: FirstCaller,
    Body(body): Body<types::Setup>,
) -> Result<Json<types::CredentialsWithSecret>> {
    let key = body
        .key
        .map(|key| (key.access_key_id, key.secret_access_key));
    let made = api.auth.setup(&body.username, key).await;
    let made = made.during(During::Setup)?;
    Ok(Json(convert::new_key(made)))
}

pub(crate) async fn setup_comm_prefs(
    State(api): State<SharedState>,
    Body(body): Body<types::CommPrefsInput>,
) -> Result<StatusCode> {
    match api.auth.set_comm_prefs(answers(&body)).await {
        Ok(()) => Ok(StatusCode::OK),
        Err(auth::Error::NotFound(_)) => Err(Error::Precondition(
            "the server is not set up yet".to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

/// The answers of the form, by the names under which they are stored.
fn answers(body: &types::CommPrefsInput) -> BTreeMap<String, String> {
    let mut out = BTreeMap::from([(
        "feature_updates".to_owned(),
        body.feature_updates.to_string(),
    )]);
    for (name, value) in [
        ("encoded_user_email", &body.email),
        ("encoded_user_first_name", &body.first_name),
        ("encoded_user_last_name", &body.last_name),
        ("encoded_user_company_name", &body.company_name),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            out.insert(name.to_owned(), STANDARD.encode(value));
        }
    }
    out
}
