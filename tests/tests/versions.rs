//! Versioning through the Python package that lakeFS's users have: nothing of theirs is to be rewritten.

use system_tests::{Backend, TestServer};

#[test]
fn the_python_package_works_unchanged() {
    TestServer::start(Backend::Sqlite).python("clients/versions.py", &[]);
}
