"""Tests versioning with the published `lakefs` package, which sends booleans in Python's spelling (True, False).

  versions.py       (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)

Fails at the first failed check.
"""
import lakefs
import lakefs_sdk
from lakefs.exceptions import BadRequestException, ConflictException, ForbiddenException, NotFoundException

from connect import lakefs_client

client = lakefs_client()
sdk = client.sdk_client


def refused(kind, call, *words):
    """Checks that the call fails with the package's exception for the status and with the given words."""
    try:
        call()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{error} does not contain {missing}"
        return
    raise AssertionError(f"{kind.__name__} expected")


def paths(ref, **kw):
    return [o.path for o in ref.objects(**kw)]


def text(ref, path):
    with ref.object(path).reader(mode="r") as reader:
        return reader.read()


def write(branch, path, content):
    branch.object(path).upload(data=content)


repo = lakefs.Repository("versions", client=client).create(storage_namespace="local://versions", include_samples=False)
main = repo.branch("main")
write(main, "a/1", "one")
write(main, "a/2", "two")
assert [(c.type, c.path) for c in main.uncommitted()] == [("added", "a/1"), ("added", "a/2")]
first = main.commit("first", metadata={"k": "v"}).get_commit()
assert text(main, "a/1") == "one" and first.metadata == {"k": "v"}

# Branch, diff, merge with a strategy.
dev = repo.branch("dev").create("main")
write(dev, "a/1", "uno")
write(dev, "b/1", "three")
dev.commit("on dev")
assert [(c.type, c.path) for c in main.diff("dev")] == [("changed", "a/1"), ("added", "b/1")]
assert [(c.type, c.path) for c in main.diff("dev", delimiter="/")] == [("prefix_changed", "a/"), ("prefix_changed", "b/")]
write(main, "a/1", "eins")
main.commit("on main")
refused(ConflictException, lambda: dev.merge_into("main"))
dev.merge_into("main", strategy="source-wins", message="theirs")
assert text(main, "a/1") == "uno"

# Revert of a merge (needs a parent), cherry-pick, reset of staged changes.
refused(ConflictException, lambda: main.revert("main"), "parent")
main.revert("main", parent_number=1)
assert text(main, "a/1") == "eins" and paths(main) == ["a/1", "a/2"]
write(dev, "c/1", "four")
picked = main.cherry_pick(dev.commit("four").get_commit())
assert picked.metadata["cherry-pick-origin"] and "c/1" in paths(main)
write(main, "d/1", "five")
write(main, "e/1", "six")
main.reset_changes("object", "d/1")
main.reset_changes("common_prefix", "e/")
assert list(main.uncommitted()) == []
refused(BadRequestException, lambda: main.commit("nothing"), "no changes")

# Tags, expressions, log.
tag = lakefs.Tag("versions", "v1", client=client).create("main~2")
assert tag.get_commit().id == repo.ref("main~2").get_commit().id
assert [c.message for c in main.log(max_amount=2)][1].startswith("Revert")
assert [c.message for c in main.log(limit=True, first_parent=True, objects=["a/2"])] == ["first"]
assert list(repo.branches(max_amount=10))[0].id == "dev"
hidden = sdk.branches_api.create_branch("versions", lakefs_sdk.BranchCreation(name="zz", source="main", hidden=True))
assert hidden and "zz" not in [b.id for b in repo.branches()]
assert "zz" in [b.id for b in repo.branches(show_hidden=True)]
refused(NotFoundException, lambda: repo.ref("nowhere").get_commit())

# Protection, a pull request that merges, a hard reset.
sdk.repositories_api.set_branch_protection_rules("versions", [lakefs_sdk.BranchProtectionRule(pattern="main")])
refused(ForbiddenException, lambda: write(main, "f/1", "x"), "cannot write to protected branch", "branch main takes no direct writes and commits")
pulls = lakefs_sdk.PullsApi(sdk._api)
pull = pulls.create_pull_request(
    "versions", lakefs_sdk.PullRequestCreation(title="dev", source_branch="dev", destination_branch="main"))
merged = pulls.merge_pull_request("versions", pull.id)
assert pulls.get_pull_request("versions", pull.id).status == "merged"
assert repo.ref(merged.reference).get_commit().parents[0] != first.id
lakefs_sdk.ExperimentalApi(sdk._api).hard_reset_branch("versions", "dev", "v1", force=True)
assert dev.get_commit().id == tag.get_commit().id

# A read-only repository accepts forced writes and a forced deletion.
readonly = sdk.repositories_api.create_repository(
    lakefs_sdk.RepositoryCreation(name="readonly", storage_namespace="local://readonly", read_only=True))
refused(ForbiddenException, lambda: write(lakefs.Repository("readonly", client=client).branch("main"), "x", "y"))
assert readonly.read_only
sdk.repositories_api.delete_repository("readonly", force=True)
bare = sdk.repositories_api.create_repository(
    lakefs_sdk.RepositoryCreation(name="bare", storage_namespace="local://versions/"), bare=True)
assert list(lakefs.Repository("bare", client=client).branches()) == [] and bare.id == "bare"
print("all checks passed")
