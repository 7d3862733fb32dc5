"""Tests versioning with the published `lakefs` package, which sends booleans in Python's spelling (True, False).

  versions.py       (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)

Each test has a repository of its own. Runs all tests, and fails if one fails.
"""
import sys
import traceback

import lakefs
import lakefs_sdk
from lakefs.exceptions import BadRequestException, ConflictException, ForbiddenException, NotFoundException

from connect import lakefs_client

client = lakefs_client()
sdk = client.sdk_client
tests = []


def test(function):
    """Registers a test, which gets a repository with the commit "first" and the repository's branch main."""
    tests.append(function)
    return function


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


def new_repository(name):
    """Creates a repository whose branch main has one commit with a/1 and a/2."""
    repo = lakefs.Repository(name, client=client).create(storage_namespace=f"local://{name}", include_samples=False)
    main = repo.branch("main")
    write(main, "a/1", "one")
    write(main, "a/2", "two")
    main.commit("first", metadata={"k": "v"})
    return repo, main


def work_on_dev(repo):
    """Creates the branch dev with a commit that changes a/1 and adds b/1."""
    dev = repo.branch("dev").create("main")
    write(dev, "a/1", "uno")
    write(dev, "b/1", "three")
    dev.commit("on dev")
    return dev


@test
def changes_are_staged_and_committed(repo, main):
    write(main, "a/3", "three")
    assert [(c.type, c.path) for c in main.uncommitted()] == [("added", "a/3")]
    commit = main.commit("second", metadata={"k": "v"}).get_commit()
    assert text(main, "a/3") == "three" and commit.metadata == {"k": "v"}
    refused(BadRequestException, lambda: main.commit("nothing"), "no changes")


@test
def diff_lists_objects_and_folders(repo, main):
    work_on_dev(repo)
    assert [(c.type, c.path) for c in main.diff("dev")] == [("changed", "a/1"), ("added", "b/1")]
    assert [(c.type, c.path) for c in main.diff("dev", delimiter="/")] == [("prefix_changed", "a/"), ("prefix_changed", "b/")]


@test
def conflicting_merge_needs_a_strategy(repo, main):
    dev = work_on_dev(repo)
    write(main, "a/1", "eins")
    main.commit("on main")
    refused(ConflictException, lambda: dev.merge_into("main"))
    dev.merge_into("main", strategy="source-wins", message="theirs")
    assert text(main, "a/1") == "uno"


@test
def revert_of_a_merge_needs_a_parent(repo, main):
    work_on_dev(repo).merge_into("main")
    refused(ConflictException, lambda: main.revert("main"), "parent")
    main.revert("main", parent_number=1)
    assert text(main, "a/1") == "one" and paths(main) == ["a/1", "a/2"]


@test
def commit_is_cherry_picked(repo, main):
    dev = work_on_dev(repo)
    write(dev, "c/1", "four")
    picked = main.cherry_pick(dev.commit("four").get_commit())
    assert picked.metadata["cherry-pick-origin"]
    assert paths(main) == ["a/1", "a/2", "c/1"]


@test
def staged_changes_are_reset(repo, main):
    write(main, "d/1", "five")
    write(main, "e/1", "six")
    main.reset_changes("object", "d/1")
    main.reset_changes("common_prefix", "e/")
    assert list(main.uncommitted()) == []


@test
def tag_is_created_at_an_expression(repo, main):
    write(main, "a/1", "eins")
    main.commit("second")
    tag = lakefs.Tag(repo.id, "v1", client=client).create("main~1")
    assert tag.get_commit().id == repo.ref("main~1").get_commit().id
    refused(NotFoundException, lambda: repo.ref("nowhere").get_commit())


@test
def log_is_limited_and_filtered(repo, main):
    write(main, "a/1", "eins")
    main.commit("second")
    assert [c.message for c in main.log(max_amount=2)] == ["second", "first"]
    assert [c.message for c in main.log(limit=True, first_parent=True, objects=["a/2"])] == ["first"]


@test
def hidden_branch_is_listed_on_request(repo, main):
    repo.branch("dev").create("main")
    sdk.branches_api.create_branch(repo.id, lakefs_sdk.BranchCreation(name="zz", source="main", hidden=True))
    assert [b.id for b in repo.branches()] == ["dev", "main"]
    assert [b.id for b in repo.branches(max_amount=10, show_hidden=True)] == ["dev", "main", "zz"]


@test
def protected_branch_takes_no_writes_but_pull_requests(repo, main):
    work_on_dev(repo)
    first = main.get_commit()
    sdk.repositories_api.set_branch_protection_rules(repo.id, [lakefs_sdk.BranchProtectionRule(pattern="main")])
    refused(ForbiddenException, lambda: write(main, "f/1", "x"), "cannot write to protected branch", "branch main takes no direct writes and commits")
    pulls = lakefs_sdk.PullsApi(sdk._api)
    pull = pulls.create_pull_request(
        repo.id, lakefs_sdk.PullRequestCreation(title="dev", source_branch="dev", destination_branch="main"))
    merged = pulls.merge_pull_request(repo.id, pull.id)
    assert pulls.get_pull_request(repo.id, pull.id).status == "merged"
    assert repo.ref(merged.reference).get_commit().parents[0] == first.id


@test
def branch_is_hard_reset(repo, main):
    tag = lakefs.Tag(repo.id, "v1", client=client).create("main")
    dev = work_on_dev(repo)
    lakefs_sdk.ExperimentalApi(sdk._api).hard_reset_branch(repo.id, "dev", "v1", force=True)
    assert dev.get_commit().id == tag.get_commit().id


@test
def read_only_repository_is_deleted_by_force(repo, main):
    readonly = sdk.repositories_api.create_repository(
        lakefs_sdk.RepositoryCreation(name="readonly", storage_namespace="local://readonly", read_only=True))
    assert readonly.read_only
    refused(ForbiddenException, lambda: write(lakefs.Repository("readonly", client=client).branch("main"), "x", "y"))
    sdk.repositories_api.delete_repository("readonly", force=True)


@test
def bare_repository_shares_a_namespace(repo, main):
    bare = sdk.repositories_api.create_repository(
        lakefs_sdk.RepositoryCreation(name="bare", storage_namespace=f"local://{repo.id}/"), bare=True)
    assert bare.id == "bare" and list(lakefs.Repository("bare", client=client).branches()) == []


failed = []
for number, run in enumerate(tests):
    try:
        run(*new_repository(f"versions-{number}"))
    except Exception:
        failed.append(run.__name__)
        traceback.print_exc()
print(f"{len(tests)} tests, failed: {failed or 'none'}")
sys.exit(1 if failed else 0)
