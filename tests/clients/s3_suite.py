"""Tests the S3 gateway with boto3, and with hand-made requests that boto3 would not send. Each function is one test.

  s3_suite.py      (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)
"""
import hashlib
import http.client
import socket
import io
import urllib.parse
import urllib.request

import boto3
import botocore
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import lakefs
from botocore.exceptions import ClientError

from connect import ACCESS_KEY, REGION, SECRET_KEY, URL, boto, lakefs_client

B = "suite"
MIB = 1 << 20
HOST = urllib.parse.urlparse(URL).netloc
s3 = boto()
repository = lakefs.repository(B, client=lakefs_client()).create(storage_namespace=f"local://{B}")


def put(key, body=b"", **more):
    return s3.put_object(Bucket=B, Key=key, Body=body, **more)


def get(key, client=s3, **more):
    return client.get_object(Bucket=B, Key=key, **more)["Body"].read()


def keys(page):
    return [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]


def refused(status, code, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ClientError as e:
        got = e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"]
        assert got[0] == status and got[1] in (code, str(status)), f"{got} instead of {(status, code)}"
    else:
        raise AssertionError(f"expected {code}, but the request succeeded")


def send(method, path, headers=None, body=b""):
    """Sends a raw request. Returns status, headers and body."""
    connection = http.client.HTTPConnection(HOST, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def buckets_are_repositories():
    assert B in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=B)
    refused(404, "NoSuchBucket", s3.head_bucket, Bucket="no-such-repository")


def object_round_trips():
    tag = put("main/a/one.txt", b"one\n", ContentType="text/plain", Metadata={"owner": "ada"})["ETag"]
    assert tag == f'"{hashlib.md5(b"one" + bytes([10])).hexdigest()}"', tag
    answer = s3.get_object(Bucket=B, Key="main/a/one.txt")
    assert answer["Body"].read() == b"one\n"
    assert (answer["ETag"], answer["ContentType"], answer["Metadata"], answer["ContentLength"]) == (tag, "text/plain", {"owner": "ada"}, 4)
    head = s3.head_object(Bucket=B, Key="main/a/one.txt")
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (tag, 4, {"owner": "ada"})
    put("main/empty")
    assert get("main/empty") == b""
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/none")
    refused(404, "NoSuchKey", s3.head_object, Bucket=B, Key="main/none")


def names_with_special_characters_round_trip():
    for name in ("with space", "plus+sign", "per%cent", "ünïcode-日本", "a&b=c?d#e", "quote'\"", "dots/.x/kept"):
        put(f"main/names/{name}", name.encode())
        assert get(f"main/names/{name}") == name.encode(), name
    listed = {k[len("main/names/"):] for k in keys(s3.list_objects_v2(Bucket=B, Prefix="main/names/"))[0]}
    assert {"with space", "plus+sign", "per%cent", "ünïcode-日本", "a&b=c?d#e", "quote'\""} <= listed, listed


def ranges_return_the_requested_bytes():
    put("main/digits", b"0123456789")
    assert get("main/digits", Range="bytes=2-4") == b"234"
    assert get("main/digits", Range="bytes=-3") == b"789"
    assert get("main/digits", Range="bytes=7-") == b"789"
    assert get("main/digits", Range="bytes=7-100") == b"789"
    answer = s3.get_object(Bucket=B, Key="main/digits", Range="bytes=0-0")
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["ContentRange"]) == (206, "bytes 0-0/10")
    refused(416, "InvalidRange", s3.get_object, Bucket=B, Key="main/digits", Range="bytes=50-60")


def conditional_requests_honor_etags():
    tag = put("main/conditional", b"x")["ETag"]
    assert get("main/conditional", IfMatch=tag) == b"x"
    refused(412, "PreconditionFailed", s3.get_object, Bucket=B, Key="main/conditional", IfMatch='"other"')
    refused(304, "304", s3.get_object, Bucket=B, Key="main/conditional", IfNoneMatch=tag)
    refused(412, "PreconditionFailed", s3.put_object, Bucket=B, Key="main/conditional", Body=b"y", IfNoneMatch="*")
    assert get("main/conditional") == b"x"


def listings_honor_delimiters_and_pages():
    for key in ("l/a", "l/b/1", "l/b/2", "l/c/1", "l/d"):
        put(f"main/{key}", b"x")
    assert keys(s3.list_objects_v2(Bucket=B, Delimiter="/"))[1] == ["main/"]
    assert keys(s3.list_objects_v2(Bucket=B, Prefix="main/l/", Delimiter="/")) == (["main/l/a", "main/l/d"], ["main/l/b/", "main/l/c/"])
    assert keys(s3.list_objects(Bucket=B, Prefix="main/l/", Delimiter="/")) == (["main/l/a", "main/l/d"], ["main/l/b/", "main/l/c/"])
    assert keys(s3.list_objects_v2(Bucket=B, Prefix="main/l/b"))[0] == ["main/l/b/1", "main/l/b/2"]
    assert keys(s3.list_objects_v2(Bucket=B, Prefix="main/l/", StartAfter="main/l/b/1"))[0] == ["main/l/b/2", "main/l/c/1", "main/l/d"]
    for operation in ("list_objects_v2", "list_objects"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=B, Prefix="main/l/", PaginationConfig={"PageSize": 2}))
        assert [k for p in pages for k in keys(p)[0]] == [f"main/l/{k}" for k in ("a", "b/1", "b/2", "c/1", "d")], operation
        assert len(pages) == 3, operation
        folded = list(s3.get_paginator(operation).paginate(Bucket=B, Prefix="main/l/", Delimiter="/", PaginationConfig={"PageSize": 1}))
        assert [x for p in folded for x in sum(keys(p), [])] == ["main/l/a", "main/l/b/", "main/l/c/", "main/l/d"], operation


def copies_keep_or_replace_metadata():
    put("main/source", b"bytes to copy", ContentType="a/b", Metadata={"k": "v"})
    s3.copy_object(Bucket=B, Key="main/copy", CopySource={"Bucket": B, "Key": "main/source"})
    head = s3.head_object(Bucket=B, Key="main/copy")
    assert (get("main/copy"), head["ContentType"], head["Metadata"]) == (b"bytes to copy", "a/b", {"k": "v"})
    s3.copy_object(Bucket=B, Key="main/copy2", CopySource={"Bucket": B, "Key": "main/source"}, MetadataDirective="REPLACE", Metadata={"k": "w"}, ContentType="c/d")
    head = s3.head_object(Bucket=B, Key="main/copy2")
    assert (head["ContentType"], head["Metadata"]) == ("c/d", {"k": "w"})
    refused(404, "NoSuchKey", s3.copy_object, Bucket=B, Key="main/copy3", CopySource={"Bucket": B, "Key": "main/none"})


def completed_parts_become_one_object():
    parts = [bytes([n]) * (5 * MIB) for n in (1, 2)] + [b"\3" * (2 * MIB)]  # 12 MiB
    upload = s3.create_multipart_upload(Bucket=B, Key="main/multi", ContentType="x/y", Metadata={"k": "v"})["UploadId"]
    sent = [{"PartNumber": n, "ETag": s3.upload_part(Bucket=B, Key="main/multi", UploadId=upload, PartNumber=n, Body=parts[n - 1])["ETag"]} for n in (3, 1, 2)]
    listed = s3.list_parts(Bucket=B, Key="main/multi", UploadId=upload)["Parts"]
    assert [(p["PartNumber"], p["Size"]) for p in listed] == [(1, 5 * MIB), (2, 5 * MIB), (3, 2 * MIB)]
    assert "main/multi" in [u["Key"] for u in s3.list_multipart_uploads(Bucket=B).get("Uploads", [])]
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/multi")
    done = s3.complete_multipart_upload(Bucket=B, Key="main/multi", UploadId=upload, MultipartUpload={"Parts": sorted(sent, key=lambda p: p["PartNumber"])})
    assert done["ETag"].endswith('-3"'), done["ETag"]
    body = get("main/multi")
    assert hashlib.sha256(body).digest() == hashlib.sha256(b"".join(parts)).digest()
    assert get("main/multi", Range=f"bytes={5 * MIB - 1}-{5 * MIB}") == b"\1\2"
    head = s3.head_object(Bucket=B, Key="main/multi")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (12 * MIB, "x/y", {"k": "v"})
    refused(404, "NoSuchUpload", s3.upload_part, Bucket=B, Key="main/multi", UploadId=upload, PartNumber=1, Body=b"x")


def aborted_upload_leaves_nothing():
    upload = s3.create_multipart_upload(Bucket=B, Key="main/aborted")["UploadId"]
    s3.upload_part(Bucket=B, Key="main/aborted", UploadId=upload, PartNumber=1, Body=b"x" * MIB)
    s3.abort_multipart_upload(Bucket=B, Key="main/aborted", UploadId=upload)
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/aborted")
    refused(404, "NoSuchUpload", s3.list_parts, Bucket=B, Key="main/aborted", UploadId=upload)


def parts_can_be_copied_from_an_object():
    put("main/big-source", b"s" * (6 * MIB))
    upload = s3.create_multipart_upload(Bucket=B, Key="main/joined")["UploadId"]
    source = {"Bucket": B, "Key": "main/big-source"}
    one = s3.upload_part_copy(Bucket=B, Key="main/joined", UploadId=upload, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    two = s3.upload_part_copy(Bucket=B, Key="main/joined", UploadId=upload, PartNumber=2, CopySource=source, CopySourceRange="bytes=0-9")["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(Bucket=B, Key="main/joined", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]})
    assert get("main/joined") == b"s" * (6 * MIB + 10)


def transfer_manager_uses_multipart_for_large_files():
    data = bytes(range(256)) * (12 << 12)  # 12 MiB, above boto3's multipart threshold of 8 MiB
    s3.upload_fileobj(io.BytesIO(data), B, "main/transfer")
    into = io.BytesIO()
    s3.download_fileobj(B, "main/transfer", into)
    assert into.getvalue() == data


def single_and_bulk_deletions_succeed_for_missing_keys():
    for n in range(3):
        put(f"main/del/{n}", b"x")
    s3.delete_object(Bucket=B, Key="main/del/0")
    s3.delete_object(Bucket=B, Key="main/del/never-there")
    answer = s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "main/del/1"}, {"Key": "main/del/2"}, {"Key": "main/del/none"}]})
    assert {d["Key"] for d in answer["Deleted"]} == {"main/del/1", "main/del/2", "main/del/none"} and "Errors" not in answer, answer
    assert keys(s3.list_objects_v2(Bucket=B, Prefix="main/del/")) == ([], [])


def branches_are_folders_and_commits_are_readable():
    put("main/versioned", b"first")
    first = repository.branch("main").commit("first").id
    repository.branch("dev").create(source_reference="main")
    put("dev/versioned", b"second")
    assert (get("main/versioned"), get("dev/versioned"), get(f"{first}/versioned")) == (b"first", b"second", b"first")
    assert keys(s3.list_objects_v2(Bucket=B, Delimiter="/"))[1] == ["dev/", "main/"]
    try:
        put(f"{first}/versioned", b"no")
    except ClientError as e:
        assert 400 <= e.response["ResponseMetadata"]["HTTPStatusCode"] < 500, e
    else:
        raise AssertionError("a write to a commit succeeded")
    refused(404, "NoSuchBucket", s3.get_object, Bucket="no-such-repository", Key="main/x")


def presigned_links_work_for_one_key_and_method():
    put("main/linked", b"linked")
    link = s3.generate_presigned_url("get_object", {"Bucket": B, "Key": "main/linked"}, ExpiresIn=60)
    assert urllib.request.urlopen(link).read() == b"linked"
    link = s3.generate_presigned_url("put_object", {"Bucket": B, "Key": "main/linked"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(link, data=b"by link", method="PUT", headers={"Content-Type": ""}))
    assert get("main/linked") == b"by link"
    parts = urllib.parse.urlparse(link)
    path = f"{parts.path}?{parts.query}"
    assert send("PUT", path.replace("main/linked", "main/other"), body=b"no")[0] == 403, "a link must work for one key only"
    assert send("GET", path)[0] == 403, "a link must work for one method only"
    assert get("main/linked") == b"by link"


def unsigned_and_wrongly_signed_requests_are_refused():
    assert send("GET", f"/{B}/main/linked")[0] in (401, 403, 404), "unsigned"
    anonymous = boto3.client("s3", endpoint_url=URL, region_name=REGION, config=botocore.config.Config(signature_version=botocore.UNSIGNED, s3={"addressing_style": "path"}, retries={"max_attempts": 0}))
    for call in (lambda: get("main/linked", client=anonymous), lambda: anonymous.put_object(Bucket=B, Key="main/anonymous", Body=b"x"), lambda: anonymous.list_objects_v2(Bucket=B)):
        try:
            call()
        except ClientError as e:
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403, 404), e
        else:
            raise AssertionError("an unsigned request succeeded")
    status, _, body = send("GET", "/")
    assert status == 200 and b"Bucket" not in body, "an unsigned GET / must return the welcome page and no bucket list"
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/anonymous")
    wrong = boto(secret="wrong")
    refused(403, "SignatureDoesNotMatch", wrong.get_object, Bucket=B, Key="main/linked")
    refused(403, "SignatureDoesNotMatch", wrong.put_object, Bucket=B, Key="main/wrong", Body=b"x")
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/wrong")


def signed(method, path, headers, payload):
    """Returns the headers of a request signed with SigV4. `payload` is the value of x-amz-content-sha256."""
    request = botocore.awsrequest.AWSRequest(method, URL + path, headers={**headers, "x-amz-content-sha256": payload})
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    signer.payload = lambda _: payload
    request.context["payload_signing_enabled"] = True
    signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def body_must_match_its_signed_digest():
    path = f"/{B}/main/tampered"
    headers = signed("PUT", path, {}, hashlib.sha256(b"honest").hexdigest())
    status, _, body = send("PUT", path, headers, b"forged")
    assert status in (400, 403) and b"<Code>XAmzContentSHA256Mismatch</Code>" in body, (status, body)
    refused(404, "NoSuchKey", s3.get_object, Bucket=B, Key="main/tampered")
    status, _, body = send("PUT", path, headers, b"honest")
    assert status == 200, (status, body)
    assert get("main/tampered") == b"honest"


def chunked_body_is_stored_completely_or_refused():
    path = f"/{B}/main/chunked"
    headers = signed("PUT", path, {}, "UNSIGNED-PAYLOAD")
    lines = [f"PUT {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers.items()), "Transfer-Encoding: chunked", "", ""]
    body = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in ("piece one, ", "piece two")) + "0\r\n\r\n"
    # Sent in one piece, because a server that rejects it may close the connection before a second piece is sent.
    name, port = HOST.split(":")
    with socket.create_connection((name, int(port)), timeout=60) as connection:
        connection.sendall(("\r\n".join(lines) + body).encode())
        answer = http.client.HTTPResponse(connection, method="PUT")
        answer.begin()
        body = answer.read()
    # S3 requires a length. The gateway may accept the body, but must not store a part of it.
    assert answer.status in (200, 411), (answer.status, body)
    if answer.status == 200:
        assert get("main/chunked") == b"piece one, piece two"


def unsupported_operations_have_no_side_effects():
    put("main/untouched", b"as it was")
    for query in ("acl", "torrent", "retention", "legal-hold", "restore", "no-such-subresource"):
        for method in ("PUT", "POST", "DELETE"):
            path = f"/{B}/main/untouched?{query}"
            status, _, _ = send(method, path, signed(method, path, {}, hashlib.sha256(b"x").hexdigest()), b"x")
            if query != "no-such-subresource":
                assert status in (400, 405, 501), (method, query, status)
        assert get("main/untouched") == b"as it was", query


SUITE = [
    buckets_are_repositories, object_round_trips, names_with_special_characters_round_trip, ranges_return_the_requested_bytes,
    conditional_requests_honor_etags, listings_honor_delimiters_and_pages, copies_keep_or_replace_metadata, completed_parts_become_one_object,
    aborted_upload_leaves_nothing, parts_can_be_copied_from_an_object, transfer_manager_uses_multipart_for_large_files,
    single_and_bulk_deletions_succeed_for_missing_keys, branches_are_folders_and_commits_are_readable,
    presigned_links_work_for_one_key_and_method, unsigned_and_wrongly_signed_requests_are_refused, body_must_match_its_signed_digest,
    chunked_body_is_stored_completely_or_refused, unsupported_operations_have_no_side_effects]

if __name__ == "__main__":
    import traceback
    failed = []
    for test in SUITE:
        try:
            test()
            print(f"ok      {test.__name__}")
        except Exception:
            failed.append(test.__name__)
            print(f"FAILED  {test.__name__}")
            traceback.print_exc()
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)
