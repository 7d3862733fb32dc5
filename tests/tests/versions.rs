//! Versioning through lakeFS's Python package, which must work without changes.

use system_tests::{Backend, TestServer};

#[test]
fn python_package_works_unchanged() {
    TestServer::start(Backend::Sqlite).python("clients/versions.py", &[]);
}
