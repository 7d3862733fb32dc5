//! Defaults for `--data`: everything is stored in one folder, including a secret key that is
//! generated once.

use std::path::Path;

use super::source::{Error, Source};

/// Sets SQLite, local disk and a generated secret key in one folder as defaults.
///
/// Explicit values take precedence; those that store data elsewhere cause a warning. Stores that do
/// not persist anything are refused.
pub(super) fn embedded_defaults(source: &mut Source, dir: &Path) -> Result<(), Error> {
    if dir.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(Error(format!(
            "--data must name a folder, but {} is a file",
            dir.display()
        )));
    }
    check_explicit_values(source, dir)?;
    warn_of_open_permissions(source, dir);
    let below = |name: &str| dir.join(name).display().to_string();
    source.set_default("database.type", "sqlite");
    source.set_default("database.sqlite.path", &below("metadata/weir.db"));
    source.set_default("blockstore.type", "local");
    source.set_default("blockstore.local.path", &below("objects"));
    source.set_default("actions.cache_dir", &below("cache"));
    if source.text("auth.encrypt.secret_key")?.is_none() {
        let key = secret_key_in(dir)?;
        source.set("auth.encrypt.secret_key", &key, "--data");
    }
    Ok(())
}

/// Warns if other users can access the folder. Folders created by this server are private, but the
/// permissions of existing folders are not changed.
fn warn_of_open_permissions(source: &mut Source, dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = dir.metadata() else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        source.warnings.push(format!(
            "--data {0} is open to other users of this machine (mode {mode:o}): close it with `chmod 700 {0}`",
            dir.display()
        ));
    }
}

/// Refuses stores that lose data, because `--data` promises to keep it.
fn check_explicit_values(source: &mut Source, dir: &Path) -> Result<(), Error> {
    for (key, own) in [("database.type", "sqlite"), ("blockstore.type", "local")] {
        if source.text(key)?.as_deref() == Some("mem") {
            return Err(source.unusable(
                key,
                &format!(
                    "loses its data when the server stops, which contradicts --data {}: remove one of them",
                    dir.display()
                ),
            ));
        }
        warn_of_override(source, key, dir, |given| given == own)?;
    }
    for key in ["database.sqlite.path", "blockstore.local.path"] {
        warn_of_override(source, key, dir, |given| Path::new(given).starts_with(dir))?;
    }
    Ok(())
}

fn warn_of_override(
    source: &mut Source,
    key: &str,
    dir: &Path,
    agrees: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    if let Some(given) = source.text(key)?.filter(|given| !agrees(given)) {
        let origin = source.origin(key).to_owned();
        source.warnings.push(format!(
            "{key}: {given} ({origin}) overrides --data {}: not everything is stored in that folder",
            dir.display()
        ));
    }
    Ok(())
}

/// Reads the folder's secret key, or creates it on the first start. Only the owner can read the
/// file.
///
/// The file is created atomically: an interrupted start does not leave a partial key, and
/// concurrent first starts get the same key.
pub(super) fn secret_key_in(dir: &Path) -> Result<String, Error> {
    use base::IdGenerator as _;
    let path = dir.join("secret_key");
    let failed = |e: std::io::Error| {
        Error(format!(
            "--data: failed to store the secret key in {}: {e}",
            path.display()
        ))
    };
    if let Some(key) = stored_key(&path)? {
        return Ok(key);
    }
    let database = dir.join("metadata/weir.db");
    if database.exists() {
        // A new key could not decrypt the stored access keys, and would hide that the old one is lost.
        // A concurrent first start may have created both since.
        return stored_key(&path)?.ok_or_else(|| {
            Error(format!(
                "--data: {} is missing, but {} exists: restore the file with the secret key from the backup of the folder",
                path.display(),
                database.display()
            ))
        });
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    let ids = base::SystemIds::new(std::sync::Arc::new(base::SystemClock));
    let key = ids.nanoid(43);
    match crate::secret_file::make(&path, &key) {
        Ok(()) => Ok(key),
        // A concurrent start has created the key.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            stored_key(&path)?.ok_or_else(|| failed(e))
        }
        Err(e) => Err(failed(e)),
    }
}

/// Reads the key from a file. Returns `None` if the file does not exist.
fn stored_key(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_owned())),
        Ok(_) => Err(Error(format!(
            "--data: {} is empty: restore it from a backup, or delete it to create a new key (stored access keys will be unreadable)",
            path.display()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error(format!(
            "--data: failed to read the secret key in {}: {e}",
            path.display()
        ))),
    }
}
