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
