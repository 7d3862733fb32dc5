//! Everything below one folder (`--data`): defaults, and a secret key that is made once.

use std::path::Path;

use super::source::{Error, Source};

/// SQLite, local disk and a secret key of its own below one folder.
///
/// What is given otherwise wins, and is told of; a store that keeps nothing is refused.
pub(super) fn embedded_defaults(source: &mut Source, dir: &Path) -> Result<(), Error> {
    compare_with_given(source, dir)?;
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

/// Who names a folder expects everything to be there.
fn compare_with_given(source: &mut Source, dir: &Path) -> Result<(), Error> {
    for (key, own) in [("database.type", "sqlite"), ("blockstore.type", "local")] {
        if source.text(key)?.as_deref() == Some("mem") {
            return Err(source.unusable(
                key,
                &format!(
                    "forgets at the end what --data {} is to keep: leave out one of the two",
                    dir.display()
                ),
            ));
        }
        tell_what_wins(source, key, dir, |given| given == own)?;
    }
    for key in ["database.sqlite.path", "blockstore.local.path"] {
        tell_what_wins(source, key, dir, |given| Path::new(given).starts_with(dir))?;
    }
    Ok(())
}

fn tell_what_wins(
    source: &mut Source,
    key: &str,
    dir: &Path,
    agrees: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    if let Some(given) = source.text(key)?.filter(|given| !agrees(given)) {
        let origin = source.origin(key).to_owned();
        source.warnings.push(format!(
            "{key}: {given} ({origin}) wins over --data {}: not everything is kept in that folder",
            dir.display()
        ));
    }
    Ok(())
}

/// The folder's secret key; made on the first start, readable by its owner only.
///
/// It comes under its name whole and once: a start that is cut short leaves no half of it,
/// and of two first starts at once both get the same.
pub(super) fn secret_key_in(dir: &Path) -> Result<String, Error> {
    use base::IdGenerator as _;
    let path = dir.join("secret_key");
    let failed = |e: std::io::Error| {
        Error(format!(
            "--data: can't keep the secret key in {}: {e}",
            path.display()
        ))
    };
    if let Some(key) = stored_key(&path)? {
        return Ok(key);
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    let ids = base::SystemIds::new(std::sync::Arc::new(base::SystemClock));
    let key = ids.nanoid(43);
    match crate::secret_file::make(&path, &key) {
        Ok(()) => Ok(key),
        // Another start came first.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            stored_key(&path)?.ok_or_else(|| failed(e))
        }
        Err(e) => Err(failed(e)),
    }
}

/// The key in a file; none if there is no file.
fn stored_key(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_owned())),
        Ok(_) => Err(Error(format!(
            "--data: {} is empty: restore it from a backup, or remove it to start anew (stored keys will not open then)",
            path.display()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error(format!(
            "--data: can't read the secret key in {}: {e}",
            path.display()
        ))),
    }
}
