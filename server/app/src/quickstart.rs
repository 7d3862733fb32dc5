//! The keys of a quickstart. They are generated at the first start and stored in a file of the data
//! folder, where a program that started the server can read them as soon as the server responds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use auth::Auth;
use serde::{Deserialize, Serialize};

use crate::secret_file;

/// Name of the key file in the data folder: `{"access_key_id": ..., "secret_access_key": ...}`.
pub(crate) const CREDENTIALS_FILE: &str = "quickstart-credentials.json";

/// The publicly documented keys that quickstarts of lakeFS and of earlier versions of Weir have.
const PUBLISHED_KEYS: (&str, &str) = (
    "AKIAIOSFOLQUICKSTART",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
);

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

/// The keys of a quickstart's administrator.
pub(crate) enum AdminKeys {
    /// Generated at this start.
    New(Keys, PathBuf),
    /// Generated at an earlier start.
    Kept(Keys, PathBuf),
    /// Not in the data folder: the installation was set up in another way.
    Unknown,
}

/// Returns the keys for a new administrator: those in the file, or new ones. The flag says whether
/// they are new.
///
/// The file is written before the administrator is created, so that an interrupted start does not
/// lose the keys.
///
/// # Errors
/// If the file cannot be read or created.
pub(crate) fn keys(auth: &Auth, data: &Path) -> anyhow::Result<(Keys, bool)> {
    let path = data.join(CREDENTIALS_FILE);
    if let Some(keys) = read(&path)? {
        return Ok((keys, false));
    }
    let (access_key_id, secret_access_key) = auth.new_key();
    let keys = Keys {
        access_key_id,
        secret_access_key,
    };
    let text = serde_json::to_string_pretty(&keys).context("keys are plain JSON")?;
    std::fs::create_dir_all(data)
        .with_context(|| format!("failed to create the folder {}", data.display()))?;
    match secret_file::make(&path, &format!("{text}\n")) {
        Ok(()) => Ok((keys, true)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => match read(&path)? {
            Some(keys) => Ok((keys, false)),
            None => bail!(
                "{} was deleted while the server started: start it again",
                path.display()
            ),
        },
        Err(e) => Err(e).with_context(|| {
            format!(
                "failed to store the quickstart's keys in {}",
                path.display()
            )
        }),
    }
}

/// Returns the keys of a quickstart that has an administrator. `made` says whether they were
/// generated at this start.
///
/// # Errors
/// If the file or the stored keys cannot be read.
pub(crate) async fn opened(auth: &Auth, data: &Path, made: bool) -> anyhow::Result<AdminKeys> {
    let path = data.join(CREDENTIALS_FILE);
    let Some(keys) = read(&path)? else {
        return Ok(AdminKeys::Unknown);
    };
    if !opens(auth, &keys.access_key_id, &keys.secret_access_key).await? {
        return Ok(AdminKeys::Unknown);
    }
    Ok(if made {
        AdminKeys::New(keys, path)
    } else {
        AdminKeys::Kept(keys, path)
    })
}

/// Reports whether the installation accepts the publicly documented keys.
///
/// # Errors
/// If the stored keys cannot be read.
pub(crate) async fn published_keys_open(auth: &Auth) -> anyhow::Result<bool> {
    opens(auth, PUBLISHED_KEYS.0, PUBLISHED_KEYS.1).await
}

async fn opens(auth: &Auth, access_key_id: &str, secret: &str) -> anyhow::Result<bool> {
    match auth.authenticate_key(access_key_id, secret).await {
        Ok(_) => Ok(true),
        Err(auth::Error::Unauthenticated) => Ok(false),
        Err(e) => Err(e).context("failed to look up an access key"),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Keys>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("failed to read {}", path.display())),
    };
    // The parser's message is dropped, because it may contain a part of the secret.
    let keys = serde_json::from_str(&text).ok().with_context(|| {
        format!(
            "{} does not contain an access key and its secret: restore it, or delete it if the installation has no administrator yet",
            path.display()
        )
    })?;
    Ok(Some(keys))
}

/// An auth service without an administrator.
#[cfg(test)]
pub(crate) fn test_auth() -> Auth {
    let clock: std::sync::Arc<dyn base::Clock> = std::sync::Arc::new(base::SystemClock);
    let ids = std::sync::Arc::new(base::SystemIds::new(std::sync::Arc::clone(&clock)));
    let options = auth::Options {
        secret_key: "a secret key for tests".to_owned(),
        login_duration: std::time::Duration::from_secs(60),
        cache_enabled: false,
        cache_size: 1,
        cache_ttl: std::time::Duration::from_secs(1),
        fixed_installation_id: None,
    };
    Auth::new(
        std::sync::Arc::new(kv::MemoryStore::default()),
        clock,
        ids,
        options,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_random() {
        let auth = test_auth();
        let [one, other] = [0; 2].map(|_| {
            let dir = tempfile::tempdir().unwrap();
            let (keys, made) = keys(&auth, dir.path()).unwrap();
            assert!(made);
            keys
        });
        assert!(one != other && one.secret_access_key.len() == 40);
    }

    #[test]
    fn keys_are_stored_in_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        keys(&test_auth(), dir.path()).unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        let [Ok(file)] = &files[..] else {
            panic!("{files:?}")
        };
        assert_eq!(file.file_name(), CREDENTIALS_FILE);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn start_after_an_interrupted_one_uses_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let auth = test_auth();
        let (first, _) = keys(&auth, dir.path()).unwrap();
        let (second, made) = keys(&auth, dir.path()).unwrap();
        assert!(first == second && !made);
    }

    #[tokio::test]
    async fn stored_keys_are_shown_only_if_they_are_the_administrators() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let auth = test_auth();
        let (stored, _) = keys(&auth, dir.path()).unwrap();
        keys(&auth, other.path()).unwrap();
        let opened = async |dir: &Path, made| opened(&auth, dir, made).await.unwrap();
        assert!(matches!(opened(dir.path(), true).await, AdminKeys::Unknown));

        let key = (stored.access_key_id, stored.secret_access_key);
        auth.setup("quickstart", Some(key)).await.unwrap();
        assert!(matches!(opened(dir.path(), true).await, AdminKeys::New(..)));
        assert!(matches!(
            opened(dir.path(), false).await,
            AdminKeys::Kept(..)
        ));
        assert!(matches!(
            opened(other.path(), false).await,
            AdminKeys::Unknown
        ));
        assert!(!published_keys_open(&auth).await.unwrap());
    }

    #[tokio::test]
    async fn published_keys_are_recognized() {
        let auth = test_auth();
        let (id, secret) = PUBLISHED_KEYS;
        auth.setup("quickstart", Some((id.into(), secret.into())))
            .await
            .unwrap();
        assert!(published_keys_open(&auth).await.unwrap());
    }

    #[test]
    fn error_for_a_damaged_file_does_not_show_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(CREDENTIALS_FILE),
            r#"{"secret_access_key": "hunter2""#,
        )
        .unwrap();
        let said = format!("{:#}", keys(&test_auth(), dir.path()).err().unwrap());
        assert!(
            said.contains(CREDENTIALS_FILE) && !said.contains("hunter2"),
            "{said}"
        );
    }
}
