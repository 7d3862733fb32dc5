//! The S3 gateway through clients that people use: boto3 and the AWS command line.

use system_tests::{Backend, TestServer};

fn suite(backend: Backend) {
    let server = TestServer::start(backend);
    server.python("clients/s3_suite.py", &[]);
    server.python("clients/aws_cli.py", &[]);
}

#[test]
fn s3_clients_on_sqlite() {
    suite(Backend::Sqlite);
}

#[test]
fn s3_clients_on_postgres() {
    suite(Backend::Postgres);
}

/// Of several completions of one upload at once, on two servers of one installation, one wins: the object is what its
/// answer says. Who asks again gets the same answer; who comes too late is told 404, never 500.
#[test]
fn uploads_end_once_whoever_ends_them() {
    let server = TestServer::start(Backend::Postgres);
    let other = server.beside();
    server.python("clients/multipart_race.py", &[&other.url()]);
}

#[test]
fn uploads_end_once_on_sqlite() {
    let server = TestServer::start(Backend::Sqlite);
    server.python("clients/multipart_race.py", &[&server.url()]);
}
