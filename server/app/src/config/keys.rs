//! All configuration keys: those documented by lakeFS and Weir's own.
//!
//! Every listed key is accepted, so that an existing lakeFS configuration file works unchanged.
//! `docs/reference/configuration.md` lists the keys that have no effect yet.

/// Sections and their keys, in the order of the documentation.
const KEYS: &[(&str, &[&str])] = &[
    ("", &["listen_address"]),
    ("tls", &["enabled", "cert_file", "key_file"]),
    (
        "http",
        &[
            "max_connections",
            "max_connections_per_address",
            "uncapped_addresses",
            "first_byte_timeout",
            "headers_timeout",
            "body_timeout",
            "response_timeout",
            "min_bytes_per_second",
            "idle_timeout",
            "http2_ping_interval",
            "http2_ping_timeout",
            "body_memory_bytes",
        ],
    ),
    ("ui", &["enabled", "snippets"]),
    ("email_subscription", &["enabled"]),
    ("actions", &["enabled", "gates_source", "cache_dir"]),
    ("actions.lua", &["net_http_enabled"]),
    ("actions.env", &["enabled", "prefix"]),
    ("actions.webhook", &["allow", "deny"]),
    ("actions.compile", &["cpu_time", "memory_bytes", "at_once"]),
    (
        "logging",
        &[
            "format",
            "level",
            "output",
            "file_max_size_mb",
            "files_keep",
            "audit_log_level",
            "trace_request_headers",
        ],
    ),
    ("database", &["type", "drop_tables"]),
    (
        "database.local",
        &["path", "sync_writes", "prefetch_size", "enable_logging"],
    ),
    ("database.sqlite", &["path", "sync_writes", "max_readers"]),
    (
        "database.postgres",
        &[
            "connection_string",
            "max_open_connections",
            "max_idle_connections",
            "connection_max_lifetime",
            "scan_page_size",
            "metrics",
        ],
    ),
    (
        "database.dynamodb",
        &[
            "table_name",
            "scan_limit",
            "endpoint",
            "aws_region",
            "aws_profile",
            "aws_access_key_id",
            "aws_secret_access_key",
            "health_check_interval",
            "max_attempts",
            "max_connections",
            "credentials_cache_expiry_window",
            "credentials_cache_expiry_window_jitter_fraction",
        ],
    ),
    (
        "database.cosmosdb",
        &[
            "key",
            "endpoint",
            "database",
            "container",
            "throughput",
            "autoscale",
        ],
    ),
    ("blockstore", &["type", "default_namespace_prefix"]),
    ("blockstore.signing", &["secret_key"]),
    (
        "blockstore.local",
        &[
            "path",
            "import_enabled",
            "import_hidden",
            "allowed_external_prefixes",
        ],
    ),
    (
        "blockstore.s3",
        &[
            "region",
            "profile",
            "credentials_file",
            "endpoint",
            "max_retries",
            "force_path_style",
            "discover_bucket_region",
            "skip_verify_certificate_test_only",
            "server_side_encryption",
            "server_side_encryption_kms_key_id",
            "pre_signed_expiry",
            "pre_signed_endpoint",
            "disable_pre_signed",
            "disable_pre_signed_ui",
            "disable_pre_signed_multipart",
            "client_log_retries",
            "client_log_request",
        ],
    ),
    (
        "blockstore.s3.credentials",
        &["access_key_id", "secret_access_key", "session_token"],
    ),
    (
        "blockstore.s3.web_identity",
        &["session_duration", "session_expiry_window"],
    ),
    (
        "blockstore.azure",
        &[
            "try_timeout",
            "storage_account",
            "storage_access_key",
            "auth_method",
            "pre_signed_expiry",
            "disable_pre_signed",
            "disable_pre_signed_ui",
            "china_cloud",
            "test_endpoint_url",
            "domain",
        ],
    ),
    (
        "blockstore.gs",
        &[
            "s3_endpoint",
            "credentials_file",
            "credentials_json",
            "pre_signed_expiry",
            "disable_pre_signed",
            "disable_pre_signed_ui",
            "server_side_encryption_customer_supplied",
            "server_side_encryption_kms_key_id",
            "data_credentials_file",
            "data_credentials_json",
        ],
    ),
    ("committed", &["block_storage_prefix"]),
    (
        "committed.local_cache",
        &[
            "size_bytes",
            "dir",
            "max_uploaders_per_writer",
            "range_proportion",
            "metarange_proportion",
        ],
    ),
    (
        "committed.permanent",
        &[
            "min_range_size_bytes",
            "max_range_size_bytes",
            "range_raggedness_entries",
        ],
    ),
    ("committed.sstable.memory", &["cache_size_bytes"]),
    (
        "graveler",
        &[
            "ensure_readable_root_namespace",
            "batch_dbio_transaction_markers",
            "compaction_sensor_threshold",
            "max_batch_delay",
        ],
    ),
    ("graveler.repository_cache", &["size", "expiry", "jitter"]),
    ("graveler.commit_cache", &["size", "expiry", "jitter"]),
    ("graveler.background", &["rate_limit"]),
    ("graveler.undo", &["keep_staged", "keep_reflog"]),
    (
        "graveler.branch_ownership",
        &["enabled", "refresh", "acquire"],
    ),
    ("ugc", &["prepare_max_file_size", "prepare_interval"]),
    (
        "gateways.s3",
        &[
            "domain_name",
            "region",
            "fallback_url",
            "verify_unsupported",
        ],
    ),
    (
        "auth",
        &[
            "logout_redirect_url",
            "login_duration",
            "login_max_duration",
        ],
    ),
    ("auth.cache", &["enabled", "size", "ttl", "jitter"]),
    ("auth.encrypt", &["secret_key"]),
    (
        "auth.api",
        &[
            "endpoint",
            "token",
            "supports_invites",
            "health_check_timeout",
            "skip_health_check",
        ],
    ),
    (
        "auth.authentication_api",
        &["endpoint", "external_principals_enabled"],
    ),
    (
        "auth.remote_authenticator",
        &[
            "enabled",
            "endpoint",
            "default_user_group",
            "request_timeout",
        ],
    ),
    (
        "auth.oidc",
        &[
            "validate_id_token_claims",
            "default_initial_groups",
            "initial_groups_claim_name",
            "friendly_name_claim_name",
            "persist_friendly_name",
        ],
    ),
    (
        "auth.cookie_auth_verification",
        &[
            "validate_id_token_claims",
            "default_initial_groups",
            "initial_groups_claim_name",
            "friendly_name_claim_name",
            "persist_friendly_name",
            "external_user_id_claim_name",
            "auth_source",
        ],
    ),
    (
        "auth.ui_config",
        &[
            "rbac",
            "login_url",
            "login_url_method",
            "login_failed_message",
            "fallback_login_url",
            "fallback_login_label",
            "login_cookie_names",
            "logout_url",
            "use_login_placeholders",
        ],
    ),
    (
        "stats",
        &[
            "enabled",
            "address",
            "flush_interval",
            "flush_size",
            "extended",
        ],
    ),
    (
        "installation",
        &[
            "fixed_id",
            "user_name",
            "access_key_id",
            "secret_access_key",
            "setup_token",
            "allow_inter_region_storage",
        ],
    ),
    (
        "security",
        &[
            "check_latest_version",
            "check_latest_version_cache",
            "audit_check_interval",
            "audit_check_url",
        ],
    ),
    ("usage_report", &["flush_interval", "enabled"]),
];

/// Returns all keys with dotted names.
pub(crate) fn all() -> impl Iterator<Item = String> {
    KEYS.iter().flat_map(|(section, names)| {
        names.iter().map(move |n| {
            if section.is_empty() {
                (*n).to_owned()
            } else {
                format!("{section}.{n}")
            }
        })
    })
}

/// Reports whether a dotted name is a key that holds a value.
pub(crate) fn is_known(key: &str) -> bool {
    all().any(|k| k == key)
}

/// Reports whether a dotted name is a section.
pub(crate) fn is_section(key: &str) -> bool {
    key.is_empty()
        || all().any(|k| {
            k.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with('.'))
        })
}

/// Reports whether a value must never be printed.
pub(crate) fn is_secret(key: &str) -> bool {
    const SECRETS: &[&str] = &[
        "secret_key",
        "connection_string",
        "access_key_id",
        "secret_access_key",
        "aws_access_key_id",
        "aws_secret_access_key",
        "session_token",
        "setup_token",
        "storage_access_key",
        "credentials_json",
        "data_credentials_json",
        "server_side_encryption_customer_supplied",
        "token",
        "key",
    ];
    key.rsplit('.')
        .next()
        .is_some_and(|last| SECRETS.contains(&last))
}

/// Returns the known key or section closest to a misspelled one, if any is close enough.
pub(crate) fn nearest(key: &str) -> Option<String> {
    let sections = KEYS.iter().flat_map(|(section, _)| {
        let ends = section.match_indices('.').map(|(at, _)| at);
        ends.chain([section.len()])
            .map(|end| section[..end].to_owned())
    });
    closest(key, all().chain(sections))
}

/// Returns the key closest to a misspelled environment variable (lowercase, without prefix).
pub(crate) fn nearest_variable(name: &str) -> Option<String> {
    let variables = all().map(|key| key.replace('.', "_"));
    closest(name, variables).map(|name| name.to_uppercase())
}

/// Returns the closest known name, if at most [`MAX_TYPOS`] and fewer than half of its letters differ.
fn closest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    // The distance is at least the difference in length, so longer differences need no comparison.
    known
        .filter(|k| k.len().abs_diff(name.len()) <= MAX_TYPOS)
        .map(|k| (distance(name, &k), k))
        .min()
        .filter(|(d, k)| *d <= MAX_TYPOS && d * 2 < k.len())
        .map(|(_, k)| k)
}

/// Maximum edit distance of a suggestion.
const MAX_TYPOS: usize = 3;

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let next = (row[j] + 1)
                .min(row[j + 1] + 1)
                .min(diagonal + usize::from(x != *y));
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
