"""Tests concurrent completions and aborts of multipart uploads through two servers of one installation.

  multipart_race.py OTHER_URL       (needs WEIR_URL of the first server, ACCESS_KEY and SECRET_KEY)
"""
import concurrent.futures, hashlib, sys

import botocore.exceptions
import connect

BUCKET, ROUNDS = "multipart-race", 12
BODIES = [b"1" * 700_001, b"2" * 500_003, b"3" * 9]

one = connect.boto()
connect.URL = sys.argv[1]
two = connect.boto()
connect.URL = connect.os.environ["WEIR_URL"]
connect.lakefs.Repository(BUCKET, client=connect.lakefs_client()).create(storage_namespace=f"local://{BUCKET}")


def complete(client, key, upload, parts):
    """Completes an upload. Returns the object's ETag or the error code."""
    named = {"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in parts]}
    try:
        done = client.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload=named)
        return done["ETag"]
    except botocore.exceptions.ClientError as error:
        return refusal(error)


def abort(client, key, upload):
    """Aborts an upload. Returns "aborted" or the error code."""
    try:
        client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
        return "aborted"
    except botocore.exceptions.ClientError as error:
        return refusal(error)


def refusal(error):
    """Returns the code of an error, which must be NoSuchUpload."""
    status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    assert (status, code) == (404, "NoSuchUpload"), (status, code)
    return code


def begin(key):
    """Starts an upload and stores its parts. Returns its id, and number and ETag of each part."""
    upload = one.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    stored = lambda n, body: one.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=n, Body=body)["ETag"]
    return upload, [(n, stored(n, body)) for n, body in enumerate(BODIES, 1)]


def check_object(key, parts, tag):
    whole = b"".join(BODIES[n - 1] for n, _ in parts)
    found = one.get_object(Bucket=BUCKET, Key=key)
    digests = b"".join(hashlib.md5(BODIES[n - 1]).digest() for n, _ in parts)
    assert found["Body"].read() == whole and found["ContentLength"] == len(whole)
    assert found["ETag"] == tag == f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"', (found["ETag"], tag)


with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for round in range(ROUNDS):
        key = f"main/race/{round}"
        upload, parts = begin(key)
        left, right = parts[:2], parts[1:]
        lists = [left, right, left, right]
        clients = [one, two, two, one]
        completions = [pool.submit(complete, client, key, upload, named) for client, named in zip(clients, lists)]
        answers = [future.result() for future in completions]
        won = {tag for tag in answers if tag != "NoSuchUpload"}
        assert len(won) == 1, answers
        tag = won.pop()
        winner = lists[answers.index(tag)]
        assert [answer == tag for answer in answers] == [named == winner for named in lists], answers
        check_object(key, winner, tag)
        # A client that lost the response retries, on either server.
        assert complete(two, key, upload, winner) == complete(one, key, upload, winner) == tag
        assert abort(two, key, upload) == "NoSuchUpload"

    for round in range(ROUNDS):
        key = f"main/abort/{round}"
        upload, parts = begin(key)
        completed = pool.submit(complete, one, key, upload, parts)
        aborted = pool.submit(abort, two, key, upload)
        completed, aborted = completed.result(), aborted.result()
        assert (completed == "NoSuchUpload") == (aborted == "aborted"), (completed, aborted)
        if aborted != "aborted":
            check_object(key, parts, completed)
            continue
        listed = one.list_objects_v2(Bucket=BUCKET, Prefix=key)
        assert listed["KeyCount"] == 0, listed
assert not one.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
print("ok")
