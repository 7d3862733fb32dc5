//! The S3 gateway with real clients: boto3, the AWS command line and pyarrow.

use system_tests::{Backend, TestServer};

fn suite(backend: Backend) {
    let server = TestServer::start(backend);
    server.python("clients/s3_suite.py", &[]);
    server.python("clients/aws_cli.py", &[]);
}

#[test]
fn s3_clients_work_on_sqlite() {
    suite(Backend::Sqlite);
}

#[test]
fn s3_clients_work_on_postgres() {
    suite(Backend::Postgres);
}

/// pyarrow creates every folder above what it writes, including the folder of the branch.
#[test]
fn pyarrow_writes_moves_and_deletes_datasets() {
    TestServer::start(Backend::Sqlite).python("clients/arrow_datasets.py", &[]);
}

/// Two servers complete one multipart upload concurrently. One list of parts wins, and the object
/// matches the winner's response. A retry gets the same response. Completions with other parts get
/// status 404, never 500.
#[test]
fn uploads_complete_once_on_two_servers() {
    let server = TestServer::start(Backend::Postgres);
    let other = server.start_second_server();
    server.python("clients/multipart_race.py", &[&other.url()]);
}

#[test]
fn uploads_complete_once_on_sqlite() {
    let server = TestServer::start(Backend::Sqlite);
    server.python("clients/multipart_race.py", &[&server.url()]);
}
