//! From addresses to places, and no further: nothing outside the store's folder is written,
//! nothing outside it and the folders that were allowed is read.
//!
//! An address is checked as text here. What it leads to on the disk is opened without following links
//! (`folder`), for a link may point anywhere and come at any moment.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use super::folder::{Folder, Root, is_link_error};
use super::temp::TEMP_FOLDER;
use crate::location::{check_segments, named, trimmed};
use crate::{Error, Location, Result};

pub(super) const SCHEME: &str = "local://";

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the store's folder.
    Inside(PathBuf),
    /// An absolute path outside of it that may be read.
    Outside(PathBuf),
}

/// The folders of a store.
#[derive(Debug)]
pub(super) struct Paths {
    /// The folder, free of links.
    root: PathBuf,
    /// The same, open.
    pub(super) store: Root,
    /// The folder as it was configured; absolute addresses of lakeFS begin with it.
    configured: PathBuf,
    /// Folders outside that may be read.
    external: Vec<PathBuf>,
}

impl Paths {
    /// Makes the folder if it is missing.
    pub(super) fn open(path: &Path, external: &[String]) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let root = path.canonicalize()?;
        let store = Root::open(&root)?;
        if store.is_open_to_others()? {
            tracing::warn!(
                "the object folder {} is open to other users of this machine: close it with `chmod 700`",
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

    /// The place below the store's folder that an address names, by its text.
    pub(super) fn inside(&self, at: &Location) -> Result<PathBuf> {
        match self.resolve(at)? {
            Place::Inside(path) => Ok(path),
            Place::Outside(_) => Err(outside(at)),
        }
    }

    /// The place of an address, by its text.
    pub(super) fn resolve(&self, at: &Location) -> Result<Place> {
        let address = at.as_str();
        let Some(path) = address.strip_prefix(SCHEME) else {
            return Err(Error::invalid(address, "it does not begin with local://"));
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
                Ok(Place::Outside(path.to_owned()))
            }
            // Clients that put a name with a slash behind `local://` mean the name.
            Err(_) => below(at, Path::new(absolute)),
        }
    }

    /// Checks a namespace, and spells it from the store's folder on.
    pub(super) fn namespace(&self, namespace: &str) -> Result<String> {
        let path = self.inside(&Location::full(named(SCHEME, namespace)?))?;
        if !namespace[SCHEME.len()..].starts_with('/') {
            return Ok(namespace.to_owned());
        }
        Ok(format!("{SCHEME}{}", path.display()))
    }

    /// The place of a namespace: below the root, links followed as far as it is there already.
    pub(super) fn canonical(&self, namespace: &str) -> String {
        let at = Location::full(&trimmed(namespace));
        let Ok(path) = self.inside(&at) else {
            return trimmed(namespace);
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
        // Joining nothing would leave a slash at the end.
        let real = match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        };
        format!("{SCHEME}{}", real.display())
    }

    /// Opens a file for reading.
    pub(super) fn open_file(&self, at: &Location, place: &Place) -> Result<File> {
        let opened = match place {
            Place::Inside(path) => self.store.file(path),
            Place::Outside(path) => self.open_outside(path),
        };
        opened.map_err(|source| refused(at, source, |source| Error::storage("read", at, source)))
    }

    /// Opens a file below an allowed folder. Links are followed within the folder; the way that they lead is then
    /// gone without following any, so that none that comes meanwhile leads elsewhere.
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

    /// Opens the folder of `path`, which is to be there.
    pub(super) fn parent(&self, at: &Location, path: &Path) -> Result<Folder> {
        let opened = self.store.folder(split(path).0);
        opened.map_err(|source| {
            refused(at, source, |source| {
                Error::storage("find the folder of", at, source)
            })
        })
    }

    /// Opens the folder of `path`, and makes it durably if it is missing.
    pub(super) fn make_parent(&self, at: &Location, path: &Path) -> Result<Folder> {
        let made = self.store.make_folder(split(path).0);
        made.map_err(|source| {
            refused(at, source, |source| {
                Error::failed("make the folder of", at, source)
            })
        })
    }
}

/// Resolves an address, for [`crate::fuzzing`]: whatever its text, its place is below the store's folder.
pub(crate) fn try_address(text: &str) {
    static PATHS: LazyLock<Paths> = LazyLock::new(|| {
        let external = ["/import".to_owned()];
        Paths::open(&std::env::temp_dir(), &external).expect("the folder of temporary files opens")
    });
    let is_plain = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    match PATHS.resolve(&Location::full(text)) {
        Ok(Place::Inside(path)) => {
            assert!(is_plain(&path) && !path.starts_with(TEMP_FOLDER));
            split(&path);
        }
        Ok(Place::Outside(path)) => {
            let below = path
                .strip_prefix("/import")
                .expect("a folder that may be read");
            assert!(is_plain(below));
        }
        Err(_) => {}
    }
    drop(PATHS.namespace(text));
}

/// A place below the store's folder.
fn below(at: &Location, path: &Path) -> Result<Place> {
    if path.as_os_str().is_empty() || path.starts_with(TEMP_FOLDER) {
        return Err(Error::invalid(at.as_str(), "it is the store's own folder"));
    }
    Ok(Place::Inside(path.to_owned()))
}

fn outside(at: &Location) -> Error {
    Error::invalid(
        at.as_str(),
        "it is outside the store: name a folder of the store, as local://NAME",
    )
}

/// A symbolic link on the way is the address's fault; what else fails is `other`.
pub(super) fn refused(
    at: &Location,
    source: io::Error,
    other: impl FnOnce(io::Error) -> Error,
) -> Error {
    if is_link_error(&source) {
        return Error::invalid(
            at.as_str(),
            "a symbolic link is in its way: replace it by a folder or a mount",
        );
    }
    other(source)
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

#[cfg(test)]
mod tests {

    use std::path::Component;

    use proptest::prelude::{Strategy, prop_assert, proptest};

    use super::{Location, Paths, Place};

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
            let address = address.replace("ROOT", paths.root.to_str().unwrap());
            if let Ok(place) = paths.resolve(&Location::full(&address)) {
                let Place::Inside(below) = place else {
                    panic!("{place:?} is outside");
                };
                prop_assert!(below.components().count() > 0);
                prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(!below.starts_with(".weir-tmp"));
            }
        }
    }
}
