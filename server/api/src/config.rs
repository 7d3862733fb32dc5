//! The configuration of the server and of its store, usage reports, and statistics of clients.

use api_types as types;
use auth::{Permission, arn};
use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;

use crate::error::Result;
use crate::extract::Caller;
use crate::{ApiState, CONTRACT_VERSION, SharedState};

/// The version context of a compatible server. Clients print a warning for any other value.
const VERSION_CONTEXT: &str = "lakeFS";
/// How long garbage collection keeps bytes that no entry refers to, in seconds. An upload can be linked within this
/// time.
const GRACE_PERIOD_SECS: i64 = 24 * 60 * 60;

/// A function of the router: returns whether this server implements an operation, by operation id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IsImplemented(pub(crate) fn(&str) -> bool);

pub(crate) async fn health_check() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The full configuration, or only the version for callers without the permission to read it.
pub(crate) async fn get_config(
    State(api): State<SharedState>,
    Extension(is_implemented): Extension<IsImplemented>,
    caller: Caller,
) -> Result<Json<types::Config>> {
    let version_config = Some(version(&api));
    let permission = Permission::new("fs:ReadConfig", arn::all());
    Ok(Json(match api.authorize(&caller, &[permission]).await {
        Ok(()) => types::Config {
            version_config,
            storage_config: Some(storage(&api, is_implemented)),
            storage_config_list: Some(Vec::new()),
            ui_config: Some(types::UIConfig::default()),
            capabilities_config: Some(types::CapabilitiesConfig::default()),
        },
        Err(crate::error::Error::Auth(auth::Error::Forbidden(_))) => types::Config {
            version_config,
            ..types::Config::default()
        },
        Err(error) => return Err(error),
    }))
}

pub(crate) async fn get_version(
    State(api): State<SharedState>,
    _: Caller,
) -> Json<types::VersionConfig> {
    Json(version(&api))
}

pub(crate) async fn get_storage_config(
    State(api): State<SharedState>,
    Extension(is_implemented): Extension<IsImplemented>,
) -> Json<types::StorageConfig> {
    Json(storage(&api, is_implemented))
}

pub(crate) async fn get_garbage_collection_config(
    _: Caller,
) -> Json<types::GarbageCollectionConfig> {
    Json(types::GarbageCollectionConfig {
        grace_period: Some(GRACE_PERIOD_SECS),
    })
}

/// Accepts and discards client statistics. This server does not report to anyone.
pub(crate) async fn post_stats_events(_: Caller) -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(crate) async fn get_usage_report(
    State(api): State<SharedState>,
    _: Caller,
) -> Result<Json<types::InstallationUsageReport>> {
    let months = api.auth.usage().await?;
    let reports = months.into_iter().map(|month| types::UsageReport {
        year: i64::from(month.year),
        month: i64::from(month.month),
        count: i64::try_from(month.count).unwrap_or(i64::MAX),
    });
    let installation_id = api.auth.installation_id().await?;
    Ok(Json(types::InstallationUsageReport {
        installation_id,
        reports: reports.collect(),
    }))
}

fn version(api: &ApiState) -> types::VersionConfig {
    types::VersionConfig {
        version: Some(CONTRACT_VERSION.to_owned()),
        weir_version: Some(api.options.version.clone()),
        version_context: Some(VERSION_CONTEXT.to_owned()),
        ..types::VersionConfig::default()
    }
}

/// Reports a capability of the store only if this server implements the corresponding operation.
fn storage(api: &ApiState, IsImplemented(is_implemented): IsImplemented) -> types::StorageConfig {
    let info = api.reader().store_info();
    types::StorageConfig {
        blockstore_type: info.kind.to_owned(),
        blockstore_namespace_example: info.namespace_example,
        blockstore_namespace_validity_regex: info.namespace_validity_regex,
        default_namespace_prefix: Some(info.default_namespace_prefix),
        pre_sign_support: info.presign_support,
        pre_sign_support_ui: false,
        import_support: info.import_support && is_implemented("importStart"),
        import_validity_regex: info.import_validity_regex,
        pre_sign_multipart_upload: Some(
            info.presign_support && is_implemented("createPresignMultipartUpload"),
        ),
        blockstore_id: Some(String::new()),
        blockstore_description: Some(String::new()),
    }
}
