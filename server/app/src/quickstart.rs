//! The first administrator of an installation whose keys are given in the configuration.

use anyhow::Context as _;
use auth::Auth;

use crate::config::Installation;

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
    match auth.setup(name, key).await {
        // Another server on the same database may have come first.
        Ok(_) | Err(auth::Error::AlreadyExists(_)) => Ok(()),
        Err(e) => {
            Err(e).context("failed to make the administrator named by installation.user_name")
        }
    }
}
