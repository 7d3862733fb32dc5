//! Objects as files below one folder.
/// Where the files are.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    pub path: std::path::PathBuf,
    pub default_namespace_prefix: String,
    pub import_enabled: bool,
    pub allowed_external_prefixes: Vec<String>,
}
/// A store on a local disk.
#[derive(Debug)]
pub struct LocalStore {}
impl LocalStore {
    /// Makes the folder if it is missing and checks that it can be written.
    pub async fn open(_options: LocalOptions) -> crate::Result<Self> {
        todo!()
    }
}
