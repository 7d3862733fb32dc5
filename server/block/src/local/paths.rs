//! Resolves addresses to paths. Nothing outside the store's folder is ever written, and only the store's
//! folder and the allowed external folders are read.
//!
//! Addresses are checked as text here. A symbolic link could still point anywhere and may appear at any moment,
//! so the `folder` module opens files without following links.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::folder::{Folder, Root, is_link_error};
use super::temp::TEMP_FOLDER;
use crate::address_checks::{check_segments, require_name};
use crate::location::trim_slashes;
use crate::{Error, Location, Result};

pub(super) const SCHEME: &str = "local://";

/// The path of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResolvedPath {
    /// A path relative to the store's folder.
    Inside(PathBuf),
    /// An absolute path in an allowed external folder; read-only.
    Outside(PathBuf),
}

/// The folders that a store can access.
#[derive(Debug)]
pub(super) struct Paths {
    /// Canonical path of the store's folder.
    root: PathBuf,
    /// The open handle of the store's folder.
    pub(super) store: Root,
    /// Path of the store's folder as configured. lakeFS records absolute addresses that start with it.
    configured: PathBuf,
    /// External folders that may be read.
    external: Vec<PathBuf>,
}

impl Paths {
    /// Opens the store's folder and creates it if it does not exist.
    pub(super) fn open(path: &Path, external: &[String]) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let root = path.canonicalize()?;
        let store = Root::open(&root)?;
        if store.is_open_to_others()? {
            tracing::warn!(
                "other users of this machine can access the object folder {}: restrict it with `chmod 700`",
                root.display()
            );
        }
        Ok(Self {
            store,
            root,
            configured: std::path::absolute(path)?,
            external: external
                .iter()
                .map(PathBuf::from)
                .filter(|prefix| prefix.is_absolute())
                .collect(),
        })
    }

    /// Resolves an address to a path below the store's folder.
    pub(super) fn inside(&self, at: &Location) -> Result<PathBuf> {
        match self.resolve(at)? {
            ResolvedPath::Inside(path) => Ok(path),
            ResolvedPath::Outside(_) => Err(outside(at)),
        }
    }

    /// Resolves an address by its text, without accessing the disk.
    pub(super) fn resolve(&self, at: &Location) -> Result<ResolvedPath> {
        let address = at.as_str();
        let Some(path) = address.strip_prefix(SCHEME) else {
            return Err(Error::invalid(address, "it does not start with local://"));
        };
        let Some(absolute) = path.strip_prefix('/') else {
            check_segments(address, path)?;
            return below(at, Path::new(path));
        };
        check_segments(address, absolute)?;
        let path = Path::new(path);
        let inside = path
            .strip_prefix(&self.root)
            .or_else(|_| path.strip_prefix(&self.configured));
        match inside {
            Ok(inside) => below(at, inside),
            Err(_) if self.external.iter().any(|prefix| path.starts_with(prefix)) => {
                Ok(ResolvedPath::Outside(path.to_owned()))
            }
            // Some clients append `/NAME` to `local://` and mean `local://NAME`.
            Err(_) => below(at, Path::new(absolute)),
        }
    }

    /// Checks a namespace and makes it relative to the store's folder.
    pub(super) fn namespace(&self, namespace: &str) -> Result<String> {
        let path = self.inside(&Location::full(require_name(SCHEME, namespace)?))?;
        if !namespace[SCHEME.len()..].starts_with('/') {
            return Ok(namespace.to_owned());
        }
        Ok(format!("{SCHEME}{}", path.display()))
    }

    /// Returns the canonical form of a namespace: its path with links resolved as far as the path exists.
    pub(super) fn canonical(&self, namespace: &str) -> String {
        let at = Location::full(&trim_slashes(namespace));
        let Ok(path) = self.inside(&at) else {
            return trim_slashes(namespace);
        };
        let path = self.root.join(path);
        let mut existing = path.as_path();
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(_) if existing != self.root => existing = split(existing).0,
                Err(_) => break self.root.clone(),
            }
        };
        let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
        // Joining an empty path would append a slash.
        let real = match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        };
        format!("{SCHEME}{}", real.display())
    }

    /// Opens a file for reading.
    pub(super) fn open_file(&self, at: &Location, place: &ResolvedPath) -> Result<File> {
        let opened = match place {
            ResolvedPath::Inside(path) => self.store.file(path),
            ResolvedPath::Outside(path) => self.open_outside(path),
        };
        opened.map_err(|source| path_error(at, source, |source| Error::storage("read", at, source)))
    }

    /// Opens a file in an allowed external folder. Links within the folder are resolved first; the resolved path
    /// is then opened without following links, so that a link created in between cannot redirect it.
    fn open_outside(&self, path: &Path) -> io::Result<File> {
        let real = path.canonicalize()?;
        for prefix in self
            .external
            .iter()
            .filter(|prefix| path.starts_with(prefix))
        {
            let Ok(folder) = prefix.canonicalize() else {
                continue;
            };
            if let Ok(rest) = real.strip_prefix(&folder) {
                let all = Root::open(Path::new("/"))?;
                let below = folder.strip_prefix("/").unwrap_or(&folder).join(rest);
                return all.file(&below);
            }
        }
        Err(rustix::io::Errno::XDEV.into())
    }

    /// Opens the existing parent folder of `path`.
    pub(super) fn parent(&self, at: &Location, path: &Path) -> Result<Folder> {
        let opened = self.store.folder(split(path).0);
        opened.map_err(|source| {
            path_error(at, source, |source| {
                Error::storage("find the folder of", at, source)
            })
        })
    }

    /// Opens the parent folder of `path`. Creates it durably if it does not exist.
    pub(super) fn create_parent(&self, at: &Location, path: &Path) -> Result<Folder> {
        let made = self.store.create_folder(split(path).0);
        made.map_err(|source| {
            path_error(at, source, |source| {
                Error::failed("create the folder of", at, source)
            })
        })
    }
}

/// Resolves an address, for [`crate::fuzzing`]. Panics if the resulting path is neither below the store's folder nor in
/// the allowed external folder.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_address(text: &str) {
    use std::path::Component;
    use std::sync::LazyLock;

    static PATHS: LazyLock<Paths> = LazyLock::new(|| {
        let external = ["/import".to_owned()];
        Paths::open(&std::env::temp_dir(), &external).expect("the folder of temporary files opens")
    });
    let is_plain = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    match PATHS.resolve(&Location::full(text)) {
        Ok(ResolvedPath::Inside(path)) => {
            assert!(is_plain(&path) && !path.starts_with(TEMP_FOLDER));
            split(&path);
        }
        Ok(ResolvedPath::Outside(path)) => {
            let below = path
                .strip_prefix("/import")
                .expect("a folder that may be read");
            assert!(is_plain(below));
        }
        Err(_) => {}
    }
    drop(PATHS.namespace(text));
}

/// Checks that a path below the store's folder can hold objects.
fn below(at: &Location, path: &Path) -> Result<ResolvedPath> {
    if path.as_os_str().is_empty() || path.starts_with(TEMP_FOLDER) {
        return Err(Error::invalid(
            at.as_str(),
            "it is an internal folder of the store",
        ));
    }
    Ok(ResolvedPath::Inside(path.to_owned()))
}

fn outside(at: &Location) -> Error {
    Error::invalid(
        at.as_str(),
        "it is outside the store: use a folder of the store, as in local://NAME",
    )
}

/// Converts an I/O error: a symbolic link in the path is an invalid address; `other` converts all other errors.
pub(super) fn path_error(
    at: &Location,
    source: io::Error,
    other: impl FnOnce(io::Error) -> Error,
) -> Error {
    if is_link_error(&source) {
        return Error::invalid(
            at.as_str(),
            "its path contains a symbolic link: replace the link with a folder or a mount",
        );
    }
    other(source)
}

/// Splits a path below the root into parent and file name.
pub(super) fn split(path: &Path) -> (&Path, &std::ffi::OsStr) {
    let parent = path.parent().expect("a path below the root has a parent");
    (
        parent,
        path.file_name()
            .expect("a path below the root ends in a name"),
    )
}

#[cfg(test)]
mod tests {

    use std::path::Component;

    use proptest::prelude::{Strategy, prop_assert, proptest};

    use super::{Location, Paths, ResolvedPath};

    /// Returns addresses that combine segments which could lead outside the store.
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
        fn resolved_address_is_below_the_folder(address in addresses()) {
            let folder = tempfile::tempdir().unwrap();
            let paths = Paths::open(folder.path(), &[]).unwrap();
            let address = address.replace("ROOT", paths.root.to_str().unwrap());
            if let Ok(place) = paths.resolve(&Location::full(&address)) {
                let ResolvedPath::Inside(below) = place else {
                    panic!("{place:?} is outside");
                };
                prop_assert!(below.components().count() > 0);
                prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(!below.starts_with(".weir-tmp"));
            }
        }
    }
}
