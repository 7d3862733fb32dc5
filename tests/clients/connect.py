"""Creates clients for the server in WEIR_URL with ACCESS_KEY and SECRET_KEY."""
import os

import boto3
import botocore.config
import lakefs
import pyarrow.fs

URL, ACCESS_KEY, SECRET_KEY = os.environ["WEIR_URL"], os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"]
REGION = "us-east-1"


def boto(secret=SECRET_KEY, signature="s3v4"):
    """Returns a boto3 client without retries."""
    return boto3.client(
        "s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=secret, region_name=REGION,
        config=botocore.config.Config(signature_version=signature, s3={"addressing_style": "path"}, retries={"max_attempts": 0}))


def arrow():
    """Returns pyarrow's S3 file system. Paths have the form REPOSITORY/BRANCH/PATH."""
    return pyarrow.fs.S3FileSystem(access_key=ACCESS_KEY, secret_key=SECRET_KEY, endpoint_override=URL, region=REGION)


def lakefs_client():
    """Returns a client of the `lakefs` package."""
    return lakefs.Client(host=URL, username=ACCESS_KEY, password=SECRET_KEY)
