//! PostgreSQL, in lakeFS's table layout.
/// How to connect.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub connection_string: String,
    pub max_open_connections: u32,
    pub max_idle_connections: u32,
    pub connection_max_lifetime: std::time::Duration,
    pub scan_page_size: usize,
}
/// A store in a partitioned PostgreSQL table.
#[derive(Debug)]
pub struct PostgresStore {}
impl PostgresStore {
    /// Connects and makes the tables if they are missing.
    pub async fn connect(_options: PostgresOptions) -> crate::Result<Self> {
        todo!()
    }
}
