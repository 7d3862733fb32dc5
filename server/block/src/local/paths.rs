//! From addresses to paths, and no further: nothing outside the store's folder is written,
//! nothing outside it and the folders that were allowed is read.
//!
//! An address is checked as text first; what it leads to on the disk is checked again,
//! for a symbolic link may point anywhere.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::temp::TEMP_FOLDER;
use crate::location::{check_segments, trimmed};
use crate::{Error, Location, Result};

pub(super) const SCHEME: &str = "local://";
/// How many folders are known to exist, before all are forgotten.
const MAX_KNOWN_FOLDERS: usize = 4096;

/// What a path is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The folders of a store.
#[derive(Debug)]
pub(super) struct Paths {
    /// The folder, free of links.
    root: PathBuf,
    /// The folder as it was configured; absolute addresses of lakeFS begin with it.
    configured: PathBuf,
    /// Folders outside that may be read.
    external: Vec<PathBuf>,
    /// Folders that were made or seen, so that a put need not look again.
    known: Mutex<HashSet<PathBuf>>,
}

impl Paths {
    /// Makes the folder if it is missing.
    pub(super) fn open(path: &Path, external: &[String]) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self {
            root: path.canonicalize()?,
            configured: std::path::absolute(path)?,
            external: external
                .iter()
                .map(PathBuf::from)
                .filter(|prefix| prefix.is_absolute())
                .collect(),
            known: Mutex::default(),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of an address, by its text.
    pub(super) fn resolve(&self, at: &Location, access: Access) -> Result<PathBuf> {
        let address = at.as_str();
        let Some(path) = address.strip_prefix(SCHEME) else {
            return Err(Error::invalid(address, "it does not begin with local://"));
        };
        let path = match path.strip_prefix('/') {
            Some(absolute) => {
                check_segments(address, absolute)?;
                PathBuf::from(path)
            }
            None => {
                check_segments(address, path)?;
                self.root.join(path)
            }
        };
        let inside = path
            .strip_prefix(&self.root)
            .or_else(|_| path.strip_prefix(&self.configured));
        match inside {
            Ok(inside) if inside.starts_with(TEMP_FOLDER) || inside.as_os_str().is_empty() => {
                Err(Error::invalid(address, "it is the store's own folder"))
            }
            Ok(inside) => Ok(self.root.join(inside)),
            Err(_)
                if access == Access::Read
                    && self.external.iter().any(|prefix| path.starts_with(prefix)) =>
            {
                Ok(path)
            }
            Err(_) => Err(Error::invalid(
                address,
                "it is outside the store: name a folder of the store, as local://NAME",
            )),
        }
    }

    /// The place of a namespace: below the root, links followed as far as it is there already.
    pub(super) fn canonical(&self, namespace: &str) -> String {
        let at = Location::full(&trimmed(namespace));
        let Ok(path) = self.resolve(&at, Access::Write) else {
            return trimmed(namespace);
        };
        let mut existing = path.as_path();
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(_) if existing != self.root => existing = split(existing).0,
                Err(_) => break self.root.clone(),
            }
        };
        let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
        // Joining nothing would leave a slash at the end.
        let real = match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        };
        format!("{SCHEME}{}", real.display())
    }

    /// Follows links, and checks that what `path` leads to is a place that may be read.
    pub(super) fn confine(&self, at: &Location, path: &Path) -> Result<PathBuf> {
        let real = path
            .canonicalize()
            .map_err(|source| Error::storage("read", at, source))?;
        if real.starts_with(&self.root) {
            return Ok(real);
        }
        for prefix in &self.external {
            let allowed = prefix
                .canonicalize()
                .is_ok_and(|prefix| real.starts_with(prefix));
            // An object of the store must not lead there either: only an address that says so.
            if allowed && path.starts_with(prefix) {
                return Ok(real);
            }
        }
        Err(Error::invalid(
            at.as_str(),
            "a link leads outside the store",
        ))
    }

    /// Follows the links of the folder of `path`, which must be inside the store. A link at
    /// the end is the name itself.
    pub(super) fn confine_parent(&self, at: &Location, path: &Path) -> Result<PathBuf> {
        let (parent, name) = split(path);
        let parent = parent
            .canonicalize()
            .map_err(|source| Error::storage("find the folder of", at, source))?;
        self.check_inside(at, &parent)?;
        Ok(parent.join(name))
    }

    /// Makes the folder of `path` durably, and checks that it is inside the store.
    pub(super) fn make_parent(&self, at: &Location, path: &Path) -> Result<()> {
        let (parent, _) = split(path);
        if self.known().contains(parent) {
            return Ok(());
        }
        let failed = |source| Error::failed("make the folder of", at, source);
        let mut missing = Vec::new();
        let mut existing = parent;
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(error) if error.kind() == io::ErrorKind::NotFound && existing != self.root => {
                    missing.push(existing);
                    existing = split(existing).0;
                }
                Err(error) => return Err(failed(error)),
            }
        };
        self.check_inside(at, &real)?;
        for folder in missing.into_iter().rev() {
            match std::fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => sync_folder(split(folder).0).map_err(failed)?,
            }
        }
        let mut known = self.known();
        if known.len() >= MAX_KNOWN_FOLDERS {
            known.clear();
        }
        known.insert(parent.to_owned());
        Ok(())
    }

    /// Looks again at the folder of `path` when it is next asked for.
    pub(super) fn forget_parent(&self, path: &Path) {
        self.known().remove(split(path).0);
    }

    fn check_inside(&self, at: &Location, folder: &Path) -> Result<()> {
        if folder.starts_with(&self.root) {
            Ok(())
        } else {
            Err(Error::invalid(
                at.as_str(),
                "a link leads outside the store",
            ))
        }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.known
            .lock()
            .expect("no holder of the known folders panics")
    }
}

/// The folder and the name of a path below the root.
pub(super) fn split(path: &Path) -> (&Path, &std::ffi::OsStr) {
    let parent = path.parent().expect("a path below the root has a folder");
    (
        parent,
        path.file_name()
            .expect("a path below the root ends in a name"),
    )
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {

    use std::path::Component;

    use proptest::prelude::{Strategy, prop_assert, proptest};

    use super::{Access, Location, Paths};

    /// Addresses made of what could lead astray.
    fn addresses() -> impl Strategy<Value = String> {
        let pieces = [
            "..",
            ".",
            "/",
            "//",
            "a",
            "\0",
            "local://",
            "ROOT",
            ".weir-tmp",
            "%2e%2e",
            "\\",
            "etc",
        ];
        let pieces = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..10);
        pieces.prop_map(|pieces| format!("local://{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn an_address_is_below_the_folder_or_refused(address in addresses()) {
            let folder = tempfile::tempdir().unwrap();
            let paths = Paths::open(folder.path(), &[]).unwrap();
            let address = address.replace("ROOT", paths.root().to_str().unwrap());
            for access in [Access::Read, Access::Write] {
                let Ok(path) = paths.resolve(&Location::full(&address), access) else { continue };
                let below = path.strip_prefix(paths.root()).unwrap();
                prop_assert!(below.components().count() > 0);
                prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(!below.starts_with(".weir-tmp"));
            }
        }
    }
}
