"""What `lakectl` prints of a refusal is the answer's `message` and its status. Sends the requests that lakectl sends, and
compares their messages with the lines that lakectl printed against lakeFS (compat/conformance/lakectl/recorded.jsonl).

  lakectl_texts.py       (server in WEIR_URL, keys in ACCESS_KEY and SECRET_KEY)

Every recorded line that ends in a status is asked here, or named in LATER or BETTER with the reason.
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

# Lines whose operation comes with a later feature.
LATER = {
    "fs update-metadata, none": "changing an object's metadata",
    "fs stage": "staging an object",
    "auth users delete, unknown": "users",
    "commit, refused by an action": "hooks of the type lua",
}
# Lines where the reference's text is wrong, and what is right.
BETTER = {
    "commit, no such branch": "branch not found",
    "refs-restore, not bare": None,  # the task that was started tells it
}

recorded = {}
for line in open(RECORDED):
    step = json.loads(line)
    told = re.fullmatch(r"(?:<warning of local>\n\n)?(.*)\n(\d{3}) [A-Z][^\n]*\n", step.get("stderr") or "", re.S)
    if told:
        recorded[step["label"]] = (int(told[2]), told[1])
asked, wrong = set(), []


def send(method, path, body=None, content=None, keys=KEYS):
    """The status and the JSON of an answer."""
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
    """A request that must succeed."""
    status, answer = send(method, path, body, content)
    assert status < 300, (method, path, status, answer)
    return answer


def told(label, method, path, body=None, content=None, keys=KEYS):
    """A request that must be refused in the recorded words."""
    asked.add(label)
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
told("repo create, again", "POST", "/repositories", {"name": REPO, "storage_namespace": NAMESPACE + "/other"})
told("repo create, namespace in use", "POST", "/repositories", {"name": f"l{TAG}-x", "storage_namespace": NAMESPACE + "/one"})
told("repo create, namespace of another store", "POST", "/repositories", {"name": f"l{TAG}-y", "storage_namespace": "s3://bucket/x"})
told("repo delete, gone", "DELETE", f"/repositories/l{TAG}-two")
upload("main", "a.txt", "alpha\n")
upload("main", "in.txt", "in\n")
upload("main", "d/b.txt", "b\n")
told("fs upload, no such branch", "POST", f"{r}/branches/none/objects?path=x", content=b"alpha\n")
told("fs upload, no such repository", "POST", f"{none}/branches/main/objects?path=x", content=b"alpha\n")
told("fs ls, no such branch", "GET", f"{r}/refs/none/objects/ls?prefix=&delimiter=%2F&amount=1000")
told("fs ls, no such repository", "GET", f"{none}/refs/main/objects/ls?prefix=&delimiter=%2F&amount=1000")
told("fs stat, none", "GET", f"{r}/refs/main/objects/stat?path=none&user_metadata=true")
told("fs stat, a folder", "GET", f"{r}/refs/main/objects/stat?path=d%2F&user_metadata=true")
told("fs cat, none", "GET", f"{r}/refs/main/objects?path=none")
told("fs rm, no such branch", "DELETE", f"{r}/branches/none/objects?path=x")

# Commits and branches.
first = commit("main", "first", metadata={"k": "v"})
told("commit, nothing to commit", "POST", f"{r}/branches/main/commits", {"message": "again"})
told("commit, behind the folder's back", "POST", f"{r}/branches/main/commits", {"message": "behind"})
told("commit, no such branch", "POST", f"{r}/branches/none/commits", {"message": "x"})
told("commit, no such repository", "POST", f"{none}/branches/main/commits", {"message": "x"})
do("POST", f"{r}/branches", {"name": "dev", "source": "main"})
told("branch create, again", "POST", f"{r}/branches", {"name": "dev", "source": "main"})
told("branch create, no such source", "POST", f"{r}/branches", {"name": "dev2", "source": "none"})
do("POST", f"{r}/branches", {"name": "side", "source": first})
do("POST", f"{r}/branches", {"name": "pick", "source": first})
told("branch show, none", "GET", f"{r}/branches/none")
told("no color", "GET", f"{r}/branches/none")
told("local commit, at a commit", "GET", f"{r}/branches/{first}")
told("branch list, no such repository", "GET", f"{none}/branches?amount=100")
told("diff, unknown branch", "GET", f"{r}/branches/none/diff?amount=1000")
upload("dev", "a.txt", "alpha changed\n")
upload("dev", "new.txt", "new\n")
second = commit("dev", "on dev")

# Merges.
merge = do("POST", f"{r}/refs/dev/merge/main", {"message": "merge dev"})["reference"]
told("merge, nothing to merge", "POST", f"{r}/refs/dev/merge/main", {})
empty = do("POST", f"{r}/refs/dev/merge/main", {"allow_empty": True})["reference"]
told("merge, unknown source", "POST", f"{r}/refs/none/merge/main", {})
upload("side", "a.txt", "side\n")
third = commit("side", "on side")
do("POST", f"{r}/refs/side/merge/main", {"strategy": "source-wins", "squash_merge": True, "message": "squashed"})
upload("dev", "dirty.txt", "new\n")
told("merge, into a dirty branch", "POST", f"{r}/refs/main/merge/dev", {})

# History and tags.
told("log, unknown ref", "GET", f"{r}/refs/none/commits?amount=100")
told("show commit, unknown", "GET", f"{r}/commits/none")
told("local clone, no such branch", "GET", f"{r}/commits/none")
told("local checkout, unknown", "GET", f"{r}/commits/none")
told("annotate, unknown ref", "GET", f"{r}/refs/none/objects/ls?prefix=x&delimiter=%2F&amount=100")
do("POST", f"{r}/tags", {"id": "v1", "ref": "main"})
told("tag create, again", "POST", f"{r}/tags", {"id": "v1", "ref": "main"})
told("tag create, unknown ref", "POST", f"{r}/tags", {"id": "v2", "ref": "none"})
told("tag show, unknown", "GET", f"{r}/tags/none")
told("tag delete, unknown", "DELETE", f"{r}/tags/v2")

# Changes to history.
told("cherry-pick", "POST", f"{r}/branches/dev/cherry-pick", {"ref": third})
told("branch reset, unknown", "PUT", f"{r}/branches/none", {"type": "reset"})
do("PUT", f"{r}/branches/dev", {"type": "reset"})
told("cherry-pick, conflict", "POST", f"{r}/branches/dev/cherry-pick", {"ref": third})
do("POST", f"{r}/branches/pick/cherry-pick", {"ref": third})
told("cherry-pick, a merge without a parent", "POST", f"{r}/branches/pick/cherry-pick", {"ref": merge, "parent_number": 1})
told("cherry-pick, a parent too many", "POST", f"{r}/branches/pick/cherry-pick", {"ref": merge, "parent_number": 3})
told("cherry-pick, unknown", "POST", f"{r}/branches/pick/cherry-pick", {"ref": "none"})


def revert(label, branch, ref, parent=0):
    told(label, "POST", f"{r}/branches/{branch}/revert", {"ref": ref, "parent_number": parent})


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
told("branch delete, gone", "DELETE", f"{r}/branches/none")
told("branch delete, the default one", "DELETE", f"{r}/branches/main")

# Rules.
do("PUT", f"{r}/settings/branch_protection", [{"pattern": "rel*"}])
do("POST", f"{r}/branches", {"name": "rel1", "source": "main"})
told("fs upload, protected", "POST", f"{r}/branches/rel1/objects?path=p.txt", content=b"alpha\n")
told("fs rm, protected", "DELETE", f"{r}/branches/rel1/objects?path=a.txt")
told("commit, protected", "POST", f"{r}/branches/rel1/commits", {"message": "x", "allow_empty": True})
told("branch-protect list, no such repository", "GET", f"{none}/settings/branch_protection")
told("gc get-config, none", "GET", f"{r}/settings/gc_rules")
told("gc check-async, unknown", "GET", f"{r}/gc/prepare_commits/status?id=none")
do("PUT", f"{r}/settings/gc_rules", {"default_retention_days": 21, "branches": []})
task = do("POST", f"{r}/gc/prepare_commits/async")["id"]
deadline = time.monotonic() + 60
while not (prepared := do("GET", f"{r}/gc/prepare_commits/status?id={urllib.parse.quote(task)}"))["completed"]:
    assert time.monotonic() < deadline, prepared
    time.sleep(0.05)
# lakectl prints a line for a link, so there is none where the store makes none.
assert "gc_commits_presigned_url" not in prepared["result"], prepared

# References, runs, users, keys.
nowhere = {f"{kind}_meta_range_id": "a" * 64 for kind in ("commits", "tags", "branches")}
told("refs-dump, no such repository", "POST", f"{none}/dump")
told("refs-restore, no such repository", "POST", f"{none}/restore", nowhere)
told("actions runs describe, unknown", "GET", f"{r}/actions/runs/none")
told("auth users create", "POST", "/auth/users", {"id": "joe"})
told("auth users create, again", "POST", "/auth/users", {"id": "joe"})
told("auth users credentials create", "POST", "/auth/users/none/credentials")
told("auth users credentials list", "GET", "/auth/users/admin/credentials?amount=100")
told("auth users credentials delete", "DELETE", "/auth/users/admin/credentials/AKIAJNONE")
told("auth users groups list", "GET", "/auth/users/admin/groups?amount=100")
told("auth users policies list", "GET", "/auth/users/admin/policies?amount=100")
told("auth users aws-iam list", "GET", "/auth/users/admin/external/principals/ls?amount=100")
told("auth groups list", "GET", "/auth/groups?amount=100")
told("auth groups create", "POST", "/auth/groups", {"id": "g"})
told("auth groups members list", "GET", "/auth/groups/g/members?amount=100")
told("auth groups acl get", "GET", "/auth/groups/g/acl")
told("auth policies list", "GET", "/auth/policies?amount=100")
told("auth policies show", "GET", "/auth/policies/p")
told("no keys", "GET", "/repositories", keys=None)
told("a wrong secret", "GET", "/repositories", keys=(KEYS[0], "wrong"))
told("an unknown key", "GET", "/repositories", keys=("AKIAJNOSUCHKEYATALLQ", KEYS[1]))

forgotten = set(recorded) - asked - set(LATER) - set(BETTER)
for label in sorted(forgotten):
    wrong.append(f"{label}: not asked")
print(f"{len(asked)} lines of lakectl, {len(wrong)} differ")
sys.exit("\n".join(wrong) if wrong else 0)
