//! Writes to an installation that lakeFS created, and checks that all other records stay unchanged,
//! byte for byte.

use std::collections::BTreeMap;

use client::types::{RepositoryMetadataSet, TagCreation};
use client::{DeleteBranchOptions, DeleteTagOptions};
use system_tests::{Backend, Museum, Records, Repo};

/// References of the museum that the test does not change.
const UNTOUCHED: [&str; 3] = ["v1", "conflict", "acted"];
/// The bytes of one object in this many are read.
const READ_EVERY: usize = 50;
/// Key of a repository's metadata record.
const METADATA: &str = "repo-metadata";

fn repo(museum: &Museum) -> Repo {
    Repo {
        client: museum.server.client(),
        name: "museum".to_owned(),
    }
}

/// The paths at a reference, and the bytes of some of its objects.
type Contents = (Vec<String>, Vec<Vec<u8>>);

async fn contents(repo: &Repo, reference: &str) -> Contents {
    let paths = repo.list(reference, "").await.unwrap();
    assert!(paths.len() > 500, "{reference} has too few objects");
    let mut bytes = Vec::new();
    for path in paths.iter().step_by(READ_EVERY) {
        let object = repo.get(reference, path).await.unwrap();
        bytes.push(object.expect("a listed object must be readable"));
    }
    (paths, bytes)
}

/// Commits, merges and creates references, like users of the installation.
async fn change_like_users(repo: &Repo) {
    let staged = repo.uncommitted("dev").await.unwrap();
    assert_eq!(staged.len(), 6, "the staged changes of lakeFS must exist");
    let commit = repo.commit("dev", "go on").await.unwrap();
    assert_eq!(repo.uncommitted("dev").await.unwrap(), []);
    repo.merge("dev", "main").await.unwrap();
    let merged = repo.log("main", None).await.unwrap().swap_remove(0);
    assert_eq!(merged.parents.last(), Some(&commit.id));

    repo.put("hidden", "by-weir", "1").await.unwrap();
    repo.commit("hidden", "stays hidden").await.unwrap();

    repo.branch("short-lived", "v1").await.unwrap();
    repo.put("short-lived", "x", "1").await.unwrap();
    repo.commit("short-lived", "short").await.unwrap();
    let tag = TagCreation {
        id: "v2".to_owned(),
        r#ref: "short-lived".to_owned(),
        force: None,
    };
    repo.client.create_tag(&repo.name, &tag).await.unwrap();
    let options = DeleteBranchOptions::default();
    let deleted = repo
        .client
        .delete_branch(&repo.name, "short-lived", &options);
    deleted.await.unwrap();
    assert_eq!(
        repo.get("v2", "x").await.unwrap().as_deref(),
        Some(&b"1"[..])
    );
    let options = DeleteTagOptions::default();
    let deleted = repo.client.delete_tag(&repo.name, "v2", &options);
    deleted.await.unwrap();

    let more = RepositoryMetadataSet {
        metadata: [("opened-by".to_owned(), "weir".to_owned())].into(),
    };
    let set = repo.client.set_repository_metadata(&repo.name, &more);
    set.await.unwrap();
}

/// Splits a protobuf message into its fields, in order.
fn fields(message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (&byte, behind) = rest.split_first().expect("an incomplete varint");
            *rest = behind;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let number = varint(&mut rest);
        let value = match tag & 7 {
            0 => number.to_be_bytes().to_vec(),
            2 => {
                let (value, behind) = rest.split_at(usize::try_from(number).unwrap());
                rest = behind;
                value.to_vec()
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

/// Returns the records of lakeFS that changed, by key. Changes staged on `dev` are committed and
/// may be gone.
fn rewritten(before: &Records, after: &Records) -> BTreeMap<String, [Vec<u8>; 2]> {
    let mut rewritten = BTreeMap::new();
    for ((partition, key), old) in before {
        let of_server = partition == b"auth" || partition == b"usage";
        if of_server || partition.starts_with(b"museum-dev:") {
            continue;
        }
        let name = String::from_utf8_lossy(key).into_owned();
        let new = after
            .get(&(partition.clone(), key.clone()))
            .unwrap_or_else(|| panic!("{name} is gone"));
        if new != old {
            rewritten.insert(name, [old.clone(), new.clone()]);
        }
    }
    rewritten
}

fn assert_records_are_kept(before: &Records, after: &Records) {
    let rewritten = rewritten(before, after);
    let keys: Vec<_> = rewritten.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["branches/dev", "branches/hidden", "branches/main", METADATA]
    );
    for (name, [old, new]) in rewritten {
        let (old, new) = (fields(&old), fields(&new));
        if name == METADATA {
            assert!(old.iter().all(|entry| new.contains(entry)), "{new:?}");
            continue;
        }
        // In a branch record, only the commit (2) and the tokens (3, 4) may change, but not its
        // name (1) or the hidden flag (5). No fields unknown to lakeFS are added.
        let lasting = |fields: &[(u64, Vec<u8>)]| -> Vec<(u64, Vec<u8>)> {
            let lasting = fields
                .iter()
                .filter(|(number, _)| !(2..=4).contains(number));
            lasting.cloned().collect()
        };
        assert_eq!(lasting(&old), lasting(&new), "{name}");
        assert_eq!(
            lasting(&new).len(),
            1 + usize::from(name == "branches/hidden")
        );
    }
}

async fn continue_installation(backend: Backend) {
    let mut museum = Museum::open(backend);
    let lake = repo(&museum);
    let mut untouched = BTreeMap::new();
    for reference in UNTOUCHED {
        untouched.insert(reference, contents(&lake, reference).await);
    }
    let staged = contents(&lake, "dev").await;
    let main = lake.head("main").await.unwrap();
    let main_before = contents(&lake, "main").await;

    change_like_users(&lake).await;
    museum.server.restart();
    // The old client's connections were closed by the restart.
    let lake = repo(&museum);
    for (reference, before) in untouched {
        assert_eq!(contents(&lake, reference).await, before, "{reference}");
    }
    assert_eq!(contents(&lake, &main).await, main_before);
    assert_eq!(contents(&lake, "dev").await, staged);
    for path in [
        "s3/one",
        "s3/multi",
        "staged/copy",
        "data/00/part-00001.csv",
    ] {
        let merged = lake.get("main", path).await.unwrap();
        assert!(merged.is_some(), "{path}");
        assert_eq!(merged, lake.get("dev", path).await.unwrap(), "{path}");
    }
    let removed = lake.get("main", "data/00/part-00002.csv").await.unwrap();
    assert_eq!(removed, None);

    museum.server.stop();
    assert_records_are_kept(&Museum::records_of_lakefs(), &museum.records());
}

#[tokio::test]
async fn sqlite_continues_an_installation_of_lakefs() {
    continue_installation(Backend::Sqlite).await;
}

#[tokio::test]
async fn postgres_continues_an_installation_of_lakefs() {
    continue_installation(Backend::Postgres).await;
}
