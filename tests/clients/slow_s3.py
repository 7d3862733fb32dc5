"""Sends two S3 uploads that stall halfway, with a plain and with an aws-chunked body. Prints status and code of the responses.

  slow_s3.py BUCKET      (needs WEIR_URL, ACCESS_KEY and SECRET_KEY)
"""

import os
import re
import socket
import sys
import urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PATIENCE_SECS = 60


def upload(headers, body):
    """Sends a signed PUT with half of its body, and reads until the connection is closed."""
    url = f"{os.environ['WEIR_URL']}/{sys.argv[1]}/main/s3"
    request = AWSRequest(method="PUT", url=url, headers=headers)
    credentials = Credentials(os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"])
    payload = headers["X-Amz-Content-SHA256"]
    signer = S3SigV4Auth(credentials, "s3", "us-east-1")
    signer.payload = lambda _: payload
    signer.add_auth(request)
    address = urllib.parse.urlsplit(url)
    lines = [f"PUT {address.path} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    text = answer.decode()
    status = text.split(" ", 2)[1]
    code = re.search("<Code>(.*)</Code>", text)
    print(status, code.group(1) if code else text)


upload({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-Length": "1000000"}, b"half")
upload(
    {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Decoded-Content-Length": "1000000",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked",
        "Content-Length": "1000100",
    },
    b"f4240\r\nhalf",
)
