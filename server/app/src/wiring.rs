//! Composes the server in a straight line, lowest layer first. The only decisions here are which
//! drivers to use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use actions::wasm::{CodeKey, CompileLimits, Compiler};
use actions::{Actions, GatesSource};
use anyhow::Context as _;
use auth::Auth;
use base::{Clock, IdGenerator, SystemClock, SystemIds};
use block::BlockStore;
use catalog::{Catalog, InternalFiles, Reader};
use gateway::Gateway;
use graveler::Graveler;

use crate::COMPILE_COMMAND;
use crate::config::{Blockstore, Config, Database};

/// The layers that serving and jobs use.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) graveler: Graveler,
    pub(crate) auth: Auth,
    pub(crate) actions: Actions,
    pub(crate) catalog: Catalog,
    pub(crate) api: axum::Router,
    pub(crate) gateway: Gateway,
}

pub(crate) async fn build(config: &Config) -> anyhow::Result<Layers> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdGenerator> = Arc::new(SystemIds::new(Arc::clone(&clock)));
    let kv = open_database(&config.database).await?;
    let block = open_blockstore(&config.blockstore, Arc::clone(&ids)).await?;

    let auth = Auth::new(
        Arc::clone(&kv),
        Arc::clone(&clock),
        Arc::clone(&ids),
        auth_options(config),
    );
    auth.start()
        .await
        .context("failed to prepare the database")?;

    let graveler = Graveler::new(
        Arc::clone(&kv),
        Arc::clone(&block),
        Arc::clone(&clock),
        Arc::clone(&ids),
        graveler_options(config),
    );
    let reader = Reader::new(graveler.clone(), Arc::clone(&block));
    let actions = Actions::new(
        reader.clone(),
        InternalFiles::new(block),
        Arc::clone(&kv),
        Arc::clone(&clock),
        actions_options(config),
    )
    .context("failed to set up hooks")?;
    let catalog = Catalog::new(reader, kv, Arc::new(actions.clone()), clock, ids)
        .describe_failures_with(api::describe_failure);

    let bodies = api::BodyBudgets::new(config.http.body_memory_bytes);
    let api = api::router(api::ApiState {
        catalog: catalog.clone(),
        auth: auth.clone(),
        authorizer: Arc::new(auth.clone()),
        actions: actions.clone(),
        options: Arc::new(api_options(config, bodies.clone())),
    });
    let gateway = Gateway::new(
        catalog.clone(),
        auth.clone(),
        gateway::Options {
            domain_names: config.gateway.domain_names.clone(),
            region: config.gateway.region.clone(),
            bodies: bodies.known,
        },
    );
    Ok(Layers {
        graveler,
        auth,
        actions,
        catalog,
        api,
        gateway,
    })
}

async fn open_database(database: &Database) -> anyhow::Result<Arc<dyn kv::Store>> {
    let store: Arc<dyn kv::Store> = match database {
        Database::Sqlite {
            path,
            sync_writes,
            max_readers,
        } => {
            let options = kv::SqliteOptions {
                path: path.clone(),
                sync_writes: *sync_writes,
                max_readers: *max_readers,
            };
            let store = kv::SqliteStore::open(options).await;
            Arc::new(store.with_context(|| {
                format!("failed to open the SQLite database {}", path.display())
            })?)
        }
        Database::Postgres {
            connection_string,
            max_open_connections,
            max_idle_connections,
            connection_max_lifetime,
            scan_page_size,
        } => {
            let options = kv::PostgresOptions {
                connection_string: connection_string.clone(),
                max_open_connections: *max_open_connections,
                max_idle_connections: *max_idle_connections,
                connection_max_lifetime: *connection_max_lifetime,
                scan_page_size: *scan_page_size,
            };
            Arc::new(
                kv::PostgresStore::connect(options)
                    .await
                    .context("failed to open the PostgreSQL database")?,
            )
        }
        Database::Memory => Arc::new(kv::MemoryStore::default()),
    };
    let store = kv::MeteredStore::new(store);
    kv::check_schema_version(&store)
        .await
        .context("failed to prepare the database")?;
    Ok(Arc::new(store))
}

async fn open_blockstore(
    blockstore: &Blockstore,
    ids: Arc<dyn IdGenerator>,
) -> anyhow::Result<Arc<dyn BlockStore>> {
    Ok(match blockstore {
        Blockstore::Local {
            path,
            default_namespace_prefix,
            import_enabled,
            allowed_external_prefixes,
        } => {
            let options = block::LocalOptions {
                path: path.clone(),
                default_namespace_prefix: default_namespace_prefix.clone(),
                import_enabled: *import_enabled,
                allowed_external_prefixes: allowed_external_prefixes.clone(),
            };
            let store = block::LocalStore::open(options, ids).await;
            Arc::new(
                store.with_context(|| {
                    format!("failed to open the object folder {}", path.display())
                })?,
            )
        }
        Blockstore::Memory => Arc::new(block::MemoryStore::default()),
    })
}

fn auth_options(config: &Config) -> auth::Options {
    auth::Options {
        secret_key: config.auth.secret_key.clone(),
        login_duration: config.auth.login_duration,
        cache_enabled: config.auth.cache_enabled,
        cache_size: config.auth.cache_size,
        cache_ttl: config.auth.cache_ttl,
        fixed_installation_id: config.installation.fixed_id.clone(),
    }
}

fn graveler_options(config: &Config) -> graveler::Options {
    graveler::Options {
        block_storage_prefix: config.committed.block_storage_prefix.clone(),
        min_range_size_bytes: config.committed.min_range_size_bytes,
        max_range_size_bytes: config.committed.max_range_size_bytes,
        range_raggedness_entries: config.committed.range_raggedness_entries,
        commit_cache_entries: config.committed.commit_cache_entries,
        sstable_cache_bytes: config.committed.sstable_cache_bytes,
        keep_staged: config.undo.keep_staged,
        keep_reflog: config.undo.keep_reflog,
        ..graveler::Options::default()
    }
}

fn actions_options(config: &Config) -> actions::Options {
    actions::Options {
        enabled: config.actions.enabled,
        env_enabled: config.actions.env_enabled,
        env_prefix: config.actions.env_prefix.clone(),
        gates_source: if config.actions.gates_of_both {
            GatesSource::Both
        } else {
            GatesSource::Source
        },
        cache_dir: config.actions.cache_dir.clone(),
        code_key: CodeKey::new(auth::derive(&config.auth.secret_key, auth::COMPILED_CODE)),
        webhook: actions::WebhookOptions {
            targets: config.actions.webhook_targets.clone(),
            run_key: auth::derive(&config.auth.secret_key, auth::HOOK_RUNS).to_vec(),
            ..actions::WebhookOptions::default()
        },
        compiler: Compiler::Child {
            program: own_program(),
            arguments: vec![COMPILE_COMMAND.to_owned()],
            limits: CompileLimits {
                cpu_time: config.actions.compile_cpu_time,
                memory_bytes: config.actions.compile_memory_bytes,
            },
        },
        compile_at_once: config.actions.compile_at_once,
    }
}

/// Returns a path to the running program that stays valid if the file on disk is replaced. Another
/// version might compile machine code that this one cannot run.
fn own_program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return running.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("weir"))
}

fn api_options(config: &Config, bodies: api::BodyBudgets) -> api::Options {
    let setup_token = config.installation.setup_token.clone().unwrap_or_default();
    api::Options {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        login_cookie_names: config.auth.login_cookie_names.clone(),
        login_failed_message: config.auth.login_failed_message.clone(),
        login_url: config.auth.login_url.clone(),
        logout_url: config.auth.logout_url.clone(),
        setup_token: match config.installation.setup_token_is_generated {
            true => api::SetupToken::generated(setup_token),
            false => api::SetupToken::configured(setup_token),
        },
        bodies,
    }
}
