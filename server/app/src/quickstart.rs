//! The first administrator of an installation whose keys are given in the configuration.

use anyhow::Context as _;
use auth::Auth;

use crate::config::{Installation, QUICKSTART_ACCESS_KEY_ID, QUICKSTART_SECRET_ACCESS_KEY};

/// Makes the administrator, unless there is one.
pub(crate) async fn set_up(auth: &Auth, installation: &Installation) -> anyhow::Result<()> {
    let Some(name) = &installation.user_name else {
        return Ok(());
    };
    if auth
        .setup_state()
        .await
        .context("failed to read the set-up state")?
        .initialized
    {
        return Ok(());
    }
    let key = installation
        .access_key_id
        .clone()
        .zip(installation.secret_access_key.clone());
    let Some(key) = key else {
        // Nobody would ever see the secret of a key that is made here.
        tracing::warn!(
            "installation.user_name without access_key_id and secret_access_key makes no administrator: give all three, or set the server up through its API"
        );
        return Ok(());
    };
    match auth.setup(name, Some(key)).await {
        // Another server on the same database may have come first.
        Ok(_) | Err(auth::Error::AlreadyExists(_)) => Ok(()),
        Err(e) => {
            Err(e).context("failed to make the administrator named by installation.user_name")
        }
    }
}

/// Whether the published keys open this installation: one that was set up before keeps its
/// administrator.
pub(crate) async fn published_keys_in_use(auth: &Auth) -> anyhow::Result<bool> {
    match auth
        .authenticate_key(QUICKSTART_ACCESS_KEY_ID, QUICKSTART_SECRET_ACCESS_KEY)
        .await
    {
        Ok(_) => Ok(true),
        Err(auth::Error::Unauthenticated) => Ok(false),
        Err(e) => Err(e).context("failed to look up the published keys"),
    }
}
