"""Tests the S3 gateway with the AWS command line: copy, list, sync, multipart, presign, remove.

  aws_cli.py      (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)
"""
import os
import subprocess
import sys
import tempfile
import urllib.request

import lakefs

from connect import ACCESS_KEY, REGION, SECRET_KEY, URL, lakefs_client

REPOSITORY = "command-line"
lakefs.repository(REPOSITORY, client=lakefs_client()).create(storage_namespace=f"local://{REPOSITORY}")
temporary = tempfile.TemporaryDirectory(prefix="weir-test-")
folder = temporary.name
environment = {
    "PATH": os.environ["PATH"], "HOME": folder, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": URL, "AWS_MAX_ATTEMPTS": "1"}


def aws(*arguments):
    """Runs `aws ARGUMENTS` and returns its output."""
    command = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"aws {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def local(name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


big = bytes(range(256)) * (12 << 12)  # 12 MiB, so that the tool uses a multipart upload
local("tree/a.txt", b"a")
local("tree/deep/b.txt", b"bb")
base = f"s3://{REPOSITORY}/main"

assert REPOSITORY in aws("s3", "ls")
aws("s3", "cp", local("big.bin", big), f"{base}/big.bin")
aws("s3", "cp", f"{base}/big.bin", os.path.join(folder, "back.bin"))
assert open(os.path.join(folder, "back.bin"), "rb").read() == big
aws("s3", "sync", os.path.join(folder, "tree"), f"{base}/tree")
assert aws("s3", "sync", os.path.join(folder, "tree"), f"{base}/tree", "--size-only") == "", "a second sync must not copy anything"
listed = [line.split()[-1] for line in aws("s3", "ls", f"{base}/tree/").splitlines()]
assert listed == ["deep/", "a.txt"], listed
deep = [line.split()[-1] for line in aws("s3", "ls", "--recursive", f"{base}/tree/").splitlines()]
assert deep == ["main/tree/a.txt", "main/tree/deep/b.txt"], deep
link = aws("s3", "presign", f"{base}/tree/a.txt").strip()
assert urllib.request.urlopen(link).read() == b"a"
aws("s3", "mv", f"{base}/tree/a.txt", f"{base}/tree/moved.txt")
aws("s3", "rm", "--recursive", f"{base}/tree/deep/")
left = [line.split()[-1] for line in aws("s3", "ls", "--recursive", f"{base}/").splitlines()]
assert left == ["main/big.bin", "main/tree/moved.txt"], left
