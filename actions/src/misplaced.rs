//! Finds YAML files that were probably meant to be action files: in a folder below the folder of
//! action files, or in a folder whose name is misspelled by one letter. Only misspelled names that
//! start with one of [`PREFIXES`] are found. Such files are not read as action files, so the change
//! that adds them gets a warning.

use catalog::Snapshot;

use crate::action_file::{FOLDER, edit_distance};

/// Prefixes that are searched. They cover the folder's name with a mistake after its sixth
/// character, and the name without its first character. Other mistakes in the first six characters
/// are not found.
const PREFIXES: [&str; 2] = ["_lakef", "lakefs_actions/"];
/// Maximum number of changes that are read for each prefix.
const MAX_CHANGES: usize = 1_000;
/// Maximum number of warnings.
const MAX_WARNINGS: usize = 5;

/// Returns warnings about the misplaced files that `new` has and `old` lacks.
///
/// # Errors
/// Errors from reading the trees.
pub(crate) async fn warnings(old: &Snapshot, new: &Snapshot) -> catalog::Result<Vec<String>> {
    let mut found = Vec::new();
    for prefix in PREFIXES {
        let page = old.diff(new, prefix, "", MAX_CHANGES).await?;
        let added = page
            .results
            .into_iter()
            .filter(|(old, _)| old.is_none())
            .filter_map(|(_, new)| new);
        found.extend(added.filter_map(|object| warning(&object.path)));
    }
    found.truncate(MAX_WARNINGS);
    Ok(found)
}

/// Returns the warning for a misplaced file, or `None` if the file is not misplaced.
fn warning(path: &str) -> Option<String> {
    if ![".yaml", ".yml"].iter().any(|end| path.ends_with(end)) {
        return None;
    }
    let (folder, name) = path.split_once('/')?;
    let actions = FOLDER.trim_end_matches('/');
    if folder == actions {
        let (_, name) = name.rsplit_once('/')?;
        return Some(format!(
            "{path}: has no effect, because it is in a folder below {FOLDER}; move it to {FOLDER}{name}"
        ));
    }
    (edit_distance(folder, actions) == 1)
        .then(|| format!("{path}: has no effect, because the folder of action files is {FOLDER}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misplaced_files_are_recognized() {
        for (path, why) in [
            (
                "_lakefs_actions/sub/x.yaml",
                "move it to _lakefs_actions/x.yaml",
            ),
            (
                "_lakefs_action/x.yaml",
                "the folder of action files is _lakefs_actions/",
            ),
            (
                "_lakefs-actions/a/x.yml",
                "the folder of action files is _lakefs_actions/",
            ),
            (
                "lakefs_actions/x.yml",
                "the folder of action files is _lakefs_actions/",
            ),
        ] {
            assert!(warning(path).unwrap().ends_with(why), "{path}");
            assert!(
                PREFIXES.iter().any(|prefix| path.starts_with(prefix)),
                "{path}"
            );
        }
        for path in [
            "_lakefs_actions/x.yaml",
            "_lakefs_actions/sub/x.csv",
            "_lakefs_act/x.yaml",
            "_lakefs/x.yaml",
            "x.yaml",
        ] {
            assert_eq!(warning(path), None, "{path}");
        }
    }
}
