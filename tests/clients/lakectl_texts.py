"""Compares Weir's error messages with lakectl's output for lakeFS (compat/conformance/lakectl/recorded.jsonl). For a
refused request, lakectl prints the response's `message` and status. This script sends the same requests as lakectl.

  lakectl_texts.py       (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)

Every recorded line that ends in a status is either tested here, or listed in LATER or BETTER with the reason.
"""
import base64
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ["WEIR_URL"] + "/api/v1"
KEYS = (os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"])
RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../compat/conformance/lakectl/recorded.jsonl")
TAG = "%x" % int(time.time())
REPO, NAMESPACE = f"l{TAG}-one", f"local://lakectl/{TAG}"

# Lines whose operation is not implemented yet.
LATER = {
    "fs update-metadata, none": "changing an object's metadata",
    "fs stage": "staging an object",
    "auth users delete, unknown": "users",
    "commit, refused by an action": "hooks of the type lua",
}
# Lines where lakeFS's text is wrong, with the correct text.
BETTER = {
    "commit, no such branch": "branch not found",
    "refs-restore, not bare": None,  # reported by the task instead
}

recorded = {}
for line in open(RECORDED):
    step = json.loads(line)
    match = re.fullmatch(r"(?:<warning of local>\n\n)?(.*)\n(\d{3}) [A-Z][^\n]*\n", step.get("stderr") or "", re.S)
    if match:
        recorded[step["label"]] = (int(match[2]), match[1])
compared, wrong = set(), []


def send(method, path, body=None, content=None, keys=KEYS):
    """Sends a request and returns status and JSON of the response."""
    request = urllib.request.Request(URL + path, method=method, data=content)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    elif content is not None:
        request.add_header("Content-Type", "application/octet-stream")
    if keys:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(keys).encode()).decode())
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        status, text = refusal.code, refusal.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, {}


def do(method, path, body=None, content=None):
    """Sends a request that must succeed."""
    status, answer = send(method, path, body, content)
    assert status < 300, (method, path, status, answer)
    return answer


def check_refused(label, method, path, body=None, content=None, keys=KEYS):
    """Sends a request that must be refused with the recorded message."""
    compared.add(label)
    status, answer = send(method, path, body, content, keys)
    message = answer.get("message", "")
    message = message.replace(NAMESPACE, "local://<root>/lakectl/<tag>").replace(f"l{TAG}-", "{T}-").replace(TAG, "<tag>")
    want_status, want = recorded[label]
    want = BETTER.get(label) or want
    if (status, message) != (want_status, want):
        wrong.append(f"{label}: {want_status} {want!r}  <>  {status} {message!r}")


def upload(branch, path, text):
    do("POST", f"{r}/branches/{branch}/objects?path={urllib.parse.quote(path)}", content=text.encode())


def commit(branch, message, **more):
    return do("POST", f"{r}/branches/{branch}/commits", {"message": message, **more})["id"]


r, none = f"/repositories/{REPO}", f"/repositories/l{TAG}-none"

# Repositories and objects.
do("POST", "/repositories", {"name": REPO, "storage_namespace": NAMESPACE + "/one"})
check_refused("repo create, again", "POST", "/repositories", {"name": REPO, "storage_namespace": NAMESPACE + "/other"})
check_refused("repo create, namespace in use", "POST", "/repositories", {"name": f"l{TAG}-x", "storage_namespace": NAMESPACE + "/one"})
check_refused("repo create, namespace of another store", "POST", "/repositories", {"name": f"l{TAG}-y", "storage_namespace": "s3://bucket/x"})
check_refused("repo delete, gone", "DELETE", f"/repositories/l{TAG}-two")
upload("main", "a.txt", "alpha\n")
upload("main", "in.txt", "in\n")
upload("main", "d/b.txt", "b\n")
check_refused("fs upload, no such branch", "POST", f"{r}/branches/none/objects?path=x", content=b"alpha\n")
check_refused("fs upload, no such repository", "POST", f"{none}/branches/main/objects?path=x", content=b"alpha\n")
check_refused("fs ls, no such branch", "GET", f"{r}/refs/none/objects/ls?prefix=&delimiter=%2F&amount=1000")
check_refused("fs ls, no such repository", "GET", f"{none}/refs/main/objects/ls?prefix=&delimiter=%2F&amount=1000")
check_refused("fs stat, none", "GET", f"{r}/refs/main/objects/stat?path=none&user_metadata=true")
check_refused("fs stat, a folder", "GET", f"{r}/refs/main/objects/stat?path=d%2F&user_metadata=true")
check_refused("fs cat, none", "GET", f"{r}/refs/main/objects?path=none")
check_refused("fs rm, no such branch", "DELETE", f"{r}/branches/none/objects?path=x")

# Commits and branches.
first = commit("main", "first", metadata={"k": "v"})
check_refused("commit, nothing to commit", "POST", f"{r}/branches/main/commits", {"message": "again"})
check_refused("commit, behind the folder's back", "POST", f"{r}/branches/main/commits", {"message": "behind"})
check_refused("commit, no such branch", "POST", f"{r}/branches/none/commits", {"message": "x"})
check_refused("commit, no such repository", "POST", f"{none}/branches/main/commits", {"message": "x"})
do("POST", f"{r}/branches", {"name": "dev", "source": "main"})
check_refused("branch create, again", "POST", f"{r}/branches", {"name": "dev", "source": "main"})
check_refused("branch create, no such source", "POST", f"{r}/branches", {"name": "dev2", "source": "none"})
do("POST", f"{r}/branches", {"name": "side", "source": first})
do("POST", f"{r}/branches", {"name": "pick", "source": first})
check_refused("branch show, none", "GET", f"{r}/branches/none")
check_refused("no color", "GET", f"{r}/branches/none")
check_refused("local commit, at a commit", "GET", f"{r}/branches/{first}")
check_refused("branch list, no such repository", "GET", f"{none}/branches?amount=100")
check_refused("diff, unknown branch", "GET", f"{r}/branches/none/diff?amount=1000")
upload("dev", "a.txt", "alpha changed\n")
upload("dev", "new.txt", "new\n")
second = commit("dev", "on dev")

# Merges.
merge = do("POST", f"{r}/refs/dev/merge/main", {"message": "merge dev"})["reference"]
check_refused("merge, nothing to merge", "POST", f"{r}/refs/dev/merge/main", {})
empty = do("POST", f"{r}/refs/dev/merge/main", {"allow_empty": True})["reference"]
check_refused("merge, unknown source", "POST", f"{r}/refs/none/merge/main", {})
upload("side", "a.txt", "side\n")
third = commit("side", "on side")
do("POST", f"{r}/refs/side/merge/main", {"strategy": "source-wins", "squash_merge": True, "message": "squashed"})
upload("dev", "dirty.txt", "new\n")
check_refused("merge, into a dirty branch", "POST", f"{r}/refs/main/merge/dev", {})

# History and tags.
check_refused("log, unknown ref", "GET", f"{r}/refs/none/commits?amount=100")
check_refused("show commit, unknown", "GET", f"{r}/commits/none")
check_refused("local clone, no such branch", "GET", f"{r}/commits/none")
check_refused("local checkout, unknown", "GET", f"{r}/commits/none")
check_refused("annotate, unknown ref", "GET", f"{r}/refs/none/objects/ls?prefix=x&delimiter=%2F&amount=100")
do("POST", f"{r}/tags", {"id": "v1", "ref": "main"})
check_refused("tag create, again", "POST", f"{r}/tags", {"id": "v1", "ref": "main"})
check_refused("tag create, unknown ref", "POST", f"{r}/tags", {"id": "v2", "ref": "none"})
check_refused("tag show, unknown", "GET", f"{r}/tags/none")
check_refused("tag delete, unknown", "DELETE", f"{r}/tags/v2")

# Changes to history.
check_refused("cherry-pick", "POST", f"{r}/branches/dev/cherry-pick", {"ref": third})
check_refused("branch reset, unknown", "PUT", f"{r}/branches/none", {"type": "reset"})
do("PUT", f"{r}/branches/dev", {"type": "reset"})
check_refused("cherry-pick, conflict", "POST", f"{r}/branches/dev/cherry-pick", {"ref": third})
do("POST", f"{r}/branches/pick/cherry-pick", {"ref": third})
check_refused("cherry-pick, a merge without a parent", "POST", f"{r}/branches/pick/cherry-pick", {"ref": merge, "parent_number": 1})
check_refused("cherry-pick, a parent too many", "POST", f"{r}/branches/pick/cherry-pick", {"ref": merge, "parent_number": 3})
check_refused("cherry-pick, unknown", "POST", f"{r}/branches/pick/cherry-pick", {"ref": "none"})


def revert(label, branch, ref, parent=0):
    check_refused(label, "POST", f"{r}/branches/{branch}/revert", {"ref": ref, "parent_number": parent})


do("POST", f"{r}/branches/side/revert", {"ref": third, "parent_number": 0})
revert("branch revert, nothing to revert", "side", third)
do("POST", f"{r}/branches/dev/revert", {"ref": second, "parent_number": 0})
revert("branch revert, two", "dev", second)
revert("branch revert, a merge without a parent", "main", merge)
revert("branch revert, a merge, conflict", "main", merge, 1)
revert("branch revert, a merge that changed nothing", "main", empty, 1)
revert("branch revert, a parent too many", "main", merge, 3)
revert("branch revert, no such branch", "none", "main")
revert("branch revert, unknown", "main", "none")
check_refused("branch delete, gone", "DELETE", f"{r}/branches/none")
check_refused("branch delete, the default one", "DELETE", f"{r}/branches/main")

# Rules.
do("PUT", f"{r}/settings/branch_protection", [{"pattern": "rel*"}])
do("POST", f"{r}/branches", {"name": "rel1", "source": "main"})
check_refused("fs upload, protected", "POST", f"{r}/branches/rel1/objects?path=p.txt", content=b"alpha\n")
check_refused("fs rm, protected", "DELETE", f"{r}/branches/rel1/objects?path=a.txt")
check_refused("commit, protected", "POST", f"{r}/branches/rel1/commits", {"message": "x", "allow_empty": True})
check_refused("branch-protect list, no such repository", "GET", f"{none}/settings/branch_protection")
check_refused("gc get-config, none", "GET", f"{r}/settings/gc_rules")
check_refused("gc check-async, unknown", "GET", f"{r}/gc/prepare_commits/status?id=none")
do("PUT", f"{r}/settings/gc_rules", {"default_retention_days": 21, "branches": []})
task = do("POST", f"{r}/gc/prepare_commits/async")["id"]
deadline = time.monotonic() + 60
while not (prepared := do("GET", f"{r}/gc/prepare_commits/status?id={urllib.parse.quote(task)}"))["completed"]:
    assert time.monotonic() < deadline, prepared
    time.sleep(0.05)
# lakectl prints a line for the link. This store has no presigned links, so the member must be missing.
assert "gc_commits_presigned_url" not in prepared["result"], prepared

# References, runs, users, keys.
nowhere = {f"{kind}_meta_range_id": "a" * 64 for kind in ("commits", "tags", "branches")}
check_refused("refs-dump, no such repository", "POST", f"{none}/dump")
check_refused("refs-restore, no such repository", "POST", f"{none}/restore", nowhere)
check_refused("actions runs describe, unknown", "GET", f"{r}/actions/runs/none")
check_refused("auth users create", "POST", "/auth/users", {"id": "joe"})
check_refused("auth users create, again", "POST", "/auth/users", {"id": "joe"})
check_refused("auth users credentials create", "POST", "/auth/users/none/credentials")
check_refused("auth users credentials list", "GET", "/auth/users/admin/credentials?amount=100")
check_refused("auth users credentials delete", "DELETE", "/auth/users/admin/credentials/AKIAJNONE")
check_refused("auth users groups list", "GET", "/auth/users/admin/groups?amount=100")
check_refused("auth users policies list", "GET", "/auth/users/admin/policies?amount=100")
check_refused("auth users aws-iam list", "GET", "/auth/users/admin/external/principals/ls?amount=100")
check_refused("auth groups list", "GET", "/auth/groups?amount=100")
check_refused("auth groups create", "POST", "/auth/groups", {"id": "g"})
check_refused("auth groups members list", "GET", "/auth/groups/g/members?amount=100")
check_refused("auth groups acl get", "GET", "/auth/groups/g/acl")
check_refused("auth policies list", "GET", "/auth/policies?amount=100")
check_refused("auth policies show", "GET", "/auth/policies/p")
check_refused("no keys", "GET", "/repositories", keys=None)
check_refused("a wrong secret", "GET", "/repositories", keys=(KEYS[0], "wrong"))
check_refused("an unknown key", "GET", "/repositories", keys=("AKIAJNOSUCHKEYATALLQ", KEYS[1]))

forgotten = set(recorded) - compared - set(LATER) - set(BETTER)
for label in sorted(forgotten):
    wrong.append(f"{label}: not compared")
print(f"{len(compared)} messages of lakectl compared, {len(wrong)} differ")
sys.exit("\n".join(wrong) if wrong else 0)
