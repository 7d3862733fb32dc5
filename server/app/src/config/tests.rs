//! Tests of complete configurations and of error messages.

use super::*;

const MINIMAL: &str = "
database:
  type: postgres
  postgres:
    connection_string: postgres://lakefs:hunter2@db:5432/lakefs
blockstore:
  type: local
  local:
    path: /data
auth:
  encrypt:
    secret_key: s3cr3t-key
";

fn refused(yaml: &str) -> String {
    Config::from_yaml(yaml, &Overrides::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn lakefs_configuration_file_is_accepted() {
    let config = Config::from_yaml(MINIMAL, &Overrides::default()).unwrap();
    assert!(matches!(
        config.database,
        Database::Postgres {
            max_open_connections: 25,
            ..
        }
    ));
    assert_eq!(config.listen_address, "0.0.0.0:8000");
    assert_eq!(config.auth.login_duration, Duration::from_secs(7 * 86_400));
    assert_eq!(config.gateway.domain_names, ["s3.local.lakefs.io"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn key_without_a_value_keeps_its_default() {
    let yaml = format!("{MINIMAL}  login_duration:\n  cache:\n    size:\n");
    let config = Config::from_yaml(&yaml, &Overrides::default()).unwrap();
    assert_eq!(config.auth.cache_size, 1024);
    assert_eq!(config.auth.login_duration, Duration::from_secs(7 * 86_400));
}

#[test]
fn secrets_are_never_printed() {
    let yaml = format!(
        "{MINIMAL}installation:\n  user_name: me\n  access_key_id: AKIASECRETID\n  secret_access_key: topsecret\n"
    );
    let printed = format!(
        "{:?}",
        Config::from_yaml(&yaml, &Overrides::default()).unwrap()
    );
    for secret in ["hunter2", "s3cr3t-key", "topsecret", "AKIASECRETID"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(!refused("auth:\n  encrypt:\n    secret_key: [topsecret]\ndatabase: {type: mem}\nblockstore: {type: mem}\n").contains("topsecret"));
}

#[test]
fn data_folder_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("afile");
    std::fs::write(&file, "").unwrap();
    let overrides = Overrides {
        data: Some(file),
        ..Overrides::default()
    };
    let error = Config::from_yaml("", &overrides).unwrap_err().to_string();
    assert!(error.starts_with("--data must name a folder"), "{error}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
fn errors_name_key_value_and_remedy() {
    for (yaml, expected) in [
        (
            "database: {typ: sqlite}",
            "config.yaml: unknown key `database.typ` (did you mean `database.type`?): remove it or correct its name",
        ),
        (
            "databases: {}",
            "config.yaml: unknown key `databases` (did you mean `database`?): remove it or correct its name",
        ),
        (
            "databse: {type: sqlite}",
            "unknown key `databse` (did you mean `database`?)",
        ),
        (
            "database: {postgress: {connection_string: x}}",
            "unknown key `database.postgress` (did you mean `database.postgres`?)",
        ),
        (
            "graveller: {undo: {keep_staged: 1h}}",
            "unknown key `graveller` (did you mean `graveler`?)",
        ),
        (
            "colour: red",
            "config.yaml: unknown key `colour`: remove it or correct its name",
        ),
        (
            "database: sqlite",
            "config.yaml: `database` is a section, not a value: write its keys indented below it",
        ),
        (
            "[1, 2]",
            "expected a map with keys such as `database:` at the top level",
        ),
        ("a: [", "config.yaml is not valid YAML"),
        (
            "{}",
            "database.type is not set: choose `sqlite` or `postgres`, or start with --data DIR (in the configuration file, or as $WEIR_DATABASE_TYPE)",
        ),
        (
            "database: {type: oracle}",
            "database.type: oracle (config.yaml) is not one of `sqlite`, `postgres`, `local`, `mem`",
        ),
        (
            "database: {type: dynamodb}",
            "is not supported yet: use `sqlite` or `postgres`",
        ),
        (
            "database: {type: postgres}",
            "database.postgres.connection_string is not set: database.type is postgres (config.yaml); set it to postgres://",
        ),
        (
            "database: {type: mem}\nblockstore: {type: s3}",
            "blockstore.type: s3 (config.yaml) is not supported yet",
        ),
        (
            "database: {type: mem}\nblockstore: {type: mem}",
            "auth.encrypt.secret_key is not set",
        ),
        (
            "listen_address: here",
            "listen_address: here (config.yaml) is not HOST:PORT",
        ),
        (
            "listen_address: http://127.0.0.1:8807",
            "listen_address: http://127.0.0.1:8807 (config.yaml) is not an address to listen on: write HOST:PORT",
        ),
        (
            "logging: {level: loud}",
            "logging.level: loud (config.yaml) is not one of",
        ),
        (
            "tls: {enabled: true}",
            "let a proxy in front of Weir terminate TLS",
        ),
        (
            "database: {type: postgres, postgres: {connection_string: x, max_open_connections: lots}}",
            "database.postgres.max_open_connections: lots (config.yaml) is not a number from 1 to 10000",
        ),
        (
            "database: {type: postgres, postgres: {connection_string: x, connection_max_lifetime: 5 fortnights}}",
            "is not a duration: write numbers with their units (ns, us, ms, s, m, h, d)",
        ),
        (
            "database: {type: mem}\nblockstore: {type: mem}\nauth: {encrypt: {secret_key: k}, login_duration: 3 days}",
            "auth.login_duration: 3 days (config.yaml) is not a duration: write numbers with their units (ns, us, ms, s, m, h, d), such as 300ms, 1h30m or 7d",
        ),
        (
            "database: {type: mem}\nblockstore: {type: mem}\nauth: {encrypt: {secret_key: k}, login_duration: 40000d}",
            "auth.login_duration: 40000d (config.yaml) is longer than a hundred years",
        ),
    ] {
        let message = refused(yaml);
        assert!(message.contains(expected), "{yaml}: {message}");
    }
    let twice = format!("{MINIMAL}gateways:\n  s3:\n    domain_name: [s3.x.io, b.s3.x.io]\n");
    assert!(refused(&twice).contains("is a suffix of another name"));
    let compile = format!("{MINIMAL}actions: {{compile: {{cpu_time: 0s}}}}\n");
    assert!(
        refused(&compile)
            .contains("actions.compile.cpu_time: 0s (config.yaml) is not between 1s and 1h")
    );
    let rbac = MINIMAL.replace("auth:\n", "auth:\n  ui_config:\n    rbac: external\n");
    assert!(refused(&rbac).contains("auth.ui_config.rbac: external"));
}

#[test]
fn variables_override_the_file_and_weir_variables_override_lakefs_variables() {
    let mut source = Source::default();
    source.add_yaml(MINIMAL, "config.yaml").unwrap();
    let variables = [
        ("LAKEFS_LISTEN_ADDRESS", "127.0.0.1:1"),
        ("WEIR_LISTEN_ADDRESS", "127.0.0.1:2"),
        ("LAKEFS_AUTH_LOGIN_DURATION", "1h30m"),
        ("LAKEFS_GATEWAYS_S3_DOMAIN_NAME", "a.io, b.io"),
        ("LAKEFS_NO_SUCH_THING", "x"),
        ("WEIR_LISTEN_ADRESS", "x"),
    ];
    source.add_environment(
        variables
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let config = Config::from_source(source, &Overrides::default()).unwrap();
    assert_eq!(config.listen_address, "127.0.0.1:2");
    assert_eq!(config.auth.login_duration, Duration::from_secs(5400));
    assert_eq!(config.gateway.domain_names, ["a.io", "b.io"]);
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].contains("WEIR_LISTEN_ADRESS")
            && config.warnings[0].contains("did you mean WEIR_LISTEN_ADDRESS?"),
        "{:?}",
        config.warnings
    );
}

/// A data folder and the options that select it.
fn data_folder() -> (tempfile::TempDir, Overrides) {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data: Some(dir.path().to_owned()),
        ..Overrides::default()
    };
    (dir, overrides)
}

#[test]
fn database_is_in_the_data_folder() {
    let (dir, overrides) = data_folder();
    let config = Config::from_yaml("", &overrides).unwrap();
    assert!(
        matches!(&config.database, Database::Sqlite { path, .. } if path.starts_with(dir.path()))
    );
}

/// Guards against a bug: a new key was made for an existing database, whose access keys it cannot decrypt.
#[test]
fn lost_secret_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("metadata")).unwrap();
    std::fs::write(dir.path().join("metadata/weir.db"), "").unwrap();
    let error = embedded::secret_key_in(dir.path()).unwrap_err().to_string();
    assert!(error.contains("secret_key is missing"), "{error}");
    assert!(error.contains("from the backup"), "{error}");
    assert!(!dir.path().join("secret_key").exists());
}

#[test]
fn secret_key_is_kept_in_a_private_file_of_the_data_folder() {
    let (dir, overrides) = data_folder();
    let keys = [0; 2].map(|_| Config::from_yaml("", &overrides).unwrap().auth.secret_key);
    assert_eq!(keys[0], keys[1], "the key must be stable");
    assert!(keys[0].len() >= 40);
    let file = std::fs::metadata(dir.path().join("secret_key")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn empty_file_of_the_secret_key_is_rejected() {
    let (dir, overrides) = data_folder();
    std::fs::write(dir.path().join("secret_key"), "").unwrap();
    let error = Config::from_yaml("", &overrides).unwrap_err();
    assert!(error.to_string().contains("is empty"), "{error}");
}

/// A server starts with an open folder, but logs a warning with the remedy.
#[test]
fn open_permissions_of_the_data_folder_are_a_warning() {
    let (dir, overrides) = data_folder();
    let folder = dir.path().display();
    for (mode, warnings) in [
        (0o700, vec![]),
        (
            0o750,
            vec![format!(
                "--data {folder} is open to other users of this machine (mode 750): close it with `chmod 700 {folder}`"
            )],
        ),
    ] {
        set_mode(dir.path(), mode);
        assert_eq!(
            Config::from_yaml("", &overrides).unwrap().warnings,
            warnings
        );
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions).unwrap();
}

#[test]
fn settings_that_contradict_the_data_folder_are_refused_or_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    set_mode(dir.path(), 0o700);
    let folder = dir.path().display();
    let overrides = Overrides {
        data: Some(dir.path().to_owned()),
        ..Overrides::default()
    };
    for key in ["database", "blockstore"] {
        let error = Config::from_yaml(&format!("{key}: {{type: mem}}"), &overrides).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{key}.type: mem (config.yaml) loses its data when the server stops, which contradicts --data {folder}: remove one of them"
            )
        );
    }
    let elsewhere = "database: {type: postgres, postgres: {connection_string: 'postgres://x@y/z'}}\n\
                     blockstore: {type: local, local: {path: /elsewhere}}";
    assert_eq!(
        Config::from_yaml(elsewhere, &overrides).unwrap().warnings,
        [
            format!(
                "database.type: postgres (config.yaml) overrides --data {folder}: not everything is stored in that folder"
            ),
            format!(
                "blockstore.local.path: /elsewhere (config.yaml) overrides --data {folder}: not everything is stored in that folder"
            ),
        ]
    );
    let same = format!("database: {{type: sqlite, sqlite: {{path: {folder}/x.db}}}}");
    assert_eq!(
        Config::from_yaml(&same, &overrides).unwrap().warnings,
        Vec::<String>::new()
    );
}

#[test]
fn ignored_configuration_file_is_a_warning() {
    let there = || Some(PathBuf::from("config.yaml"));
    let mut overrides = Overrides::default();
    assert_eq!(unread_config_file(&overrides, there()), None);
    overrides.quickstart = true;
    let warning = unread_config_file(&overrides, there()).unwrap();
    assert_eq!(
        warning,
        "the configuration file config.yaml is ignored because of --quickstart: pass --config to use it"
    );
    overrides.data = Some(PathBuf::from("lake"));
    let warning = unread_config_file(&overrides, there()).unwrap();
    assert!(
        warning.contains("is ignored because of --data"),
        "{warning}"
    );
    assert_eq!(unread_config_file(&overrides, None), None);
    overrides.file = there();
    assert_eq!(unread_config_file(&overrides, there()), None);
}

#[test]
fn quickstart_listens_on_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data: Some(dir.path().to_owned()),
        quickstart: true,
        ..Overrides::default()
    };
    let config = Config::from_yaml("", &overrides).unwrap();
    assert_eq!(config.listen_address, "127.0.0.1:8000");
    for own in ["localhost:80", "127.0.0.2:80", "[::1]:80"] {
        let own = Overrides {
            listen_address: Some(own.to_owned()),
            ..overrides.clone()
        };
        Config::from_yaml("", &own).unwrap();
    }
    for open in [
        "0.0.0.0:8000",
        "192.168.0.7:80",
        ":8000",
        "127.example.com:8000",
        "127.0.0.1.example.com:8000",
        "[::]:8000",
    ] {
        let open = Overrides {
            listen_address: Some(open.to_owned()),
            ..overrides.clone()
        };
        let refused = Config::from_yaml("", &open).unwrap_err().to_string();
        assert!(
            refused.contains("expose a quickstart to the network"),
            "{refused}"
        );
    }
    assert_eq!(config.installation.user_name.as_deref(), Some("quickstart"));
    assert_eq!(
        config.installation.access_key_id, None,
        "keys are generated at start"
    );
}

#[test]
fn badger_folder_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = MINIMAL.replace("type: postgres", "type: local").replace(
        "  postgres:\n    connection_string: postgres://lakefs:hunter2@db:5432/lakefs",
        &format!("  local:\n    path: {}", dir.path().display()),
    );
    assert!(matches!(
        Config::from_yaml(&yaml, &Overrides::default())
            .unwrap()
            .database,
        Database::Sqlite { .. }
    ));
    std::fs::write(dir.path().join("MANIFEST"), "x").unwrap();
    assert!(refused(&yaml).contains("Badger"));
}

#[test]
fn concurrent_first_starts_agree_on_the_key() {
    use std::os::unix::fs::PermissionsExt as _;
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let begin = std::sync::Barrier::new(2);
        let start = || {
            begin.wait();
            embedded::secret_key_in(dir.path()).unwrap()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(start);
            (start(), other.join().unwrap())
        });
        assert_eq!(one, other);
        assert_eq!(
            embedded::secret_key_in(dir.path()).unwrap(),
            one,
            "the key must be stored"
        );
        let files: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mode = files[0].metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Regression test: a data folder was served to the whole network, and the first caller became
/// administrator.
#[test]
fn data_folder_listens_on_loopback_and_lakefs_file_on_all_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let mut overrides = Overrides {
        data: Some(dir.path().to_owned()),
        ..Overrides::default()
    };
    let listens = |yaml: &str, overrides: &Overrides| {
        Config::from_yaml(yaml, overrides).unwrap().listen_address
    };
    assert_eq!(listens("", &overrides), "127.0.0.1:8000");
    assert_eq!(
        listens("listen_address: 0.0.0.0:80", &overrides),
        "0.0.0.0:80"
    );
    overrides.listen_address = Some("10.0.0.7:9000".to_owned());
    assert_eq!(listens("", &overrides), "10.0.0.7:9000");
    assert_eq!(listens(MINIMAL, &Overrides::default()), "0.0.0.0:8000");
}

#[test]
fn setup_token_has_a_minimum_length_and_is_never_printed() {
    let with = |token: &str| format!("{MINIMAL}installation:\n  setup_token: {token}\n");
    for short in ["hunter2hunter2", "'hunter2 hunter2 hunter2'"] {
        let message = refused(&with(short));
        assert!(
            message.contains("installation.setup_token: [redacted]")
                && message.contains("at least 16"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
    let config = Config::from_yaml(&with("hunter2hunter2hunter2"), &Overrides::default()).unwrap();
    assert_eq!(
        config.installation.setup_token.as_deref(),
        Some("hunter2hunter2hunter2")
    );
    assert!(!format!("{config:?}").contains("hunter2hunter2"));
}

#[test]
fn webhook_targets_are_validated_at_start() {
    let with = |lists: &str| format!("{MINIMAL}actions:\n  webhook:\n{lists}");
    let fine = with(
        "    allow: [10.0.0.0/8, hooks.example.com, '*.internal']\n    deny: '10.0.0.66, fd00::/8'\n",
    );
    assert!(Config::from_yaml(&fine, &Overrides::default()).is_ok());
    let message = refused(&with("    deny: [10.0.0.1/8]\n"));
    assert!(
        message.contains("actions.webhook.deny") && message.contains("10.0.0.1/8 is not a network"),
        "{message}"
    );
    assert!(refused(&with("    alow: []\n")).contains("did you mean `actions.webhook.allow`?"));
}

#[test]
fn connection_limits_have_defaults() {
    let http = Config::from_yaml(MINIMAL, &Overrides::default())
        .unwrap()
        .http;
    assert_eq!(http.max_connections, 10_000);
    assert_eq!(http.max_connections_per_address, 1024);
    // Load balancers keep idle connections for 60 s or longer. The server's timeout must be longer
    // than theirs.
    assert_eq!(http.idle_timeout, Duration::from_secs(120));
    assert!(http.uncapped_addresses[0].contains("127.0.0.1".parse().unwrap()));
}

#[test]
fn connection_limits_are_parsed() {
    let given = format!(
        "{MINIMAL}http:\n  max_connections: 50\n  idle_timeout: 5m\n  uncapped_addresses: [10.0.0.0/8, 192.0.2.7]\n"
    );
    let config = Config::from_yaml(&given, &Overrides::default()).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.http.max_connections, 50);
    assert_eq!(config.http.max_connections_per_address, 50);
    assert_eq!(config.http.idle_timeout, Duration::from_secs(300));
    assert!(!config.http.uncapped_addresses[0].contains("127.0.0.1".parse().unwrap()));
}

/// A server that no proxy on its own machine calls can limit loopback addresses too.
#[test]
fn empty_list_of_uncapped_addresses_replaces_the_default() {
    let given = format!("{MINIMAL}http:\n  uncapped_addresses: []\n");
    let config = Config::from_yaml(&given, &Overrides::default()).unwrap();
    assert!(config.http.uncapped_addresses.is_empty());
}

#[test]
fn invalid_connection_limits_are_rejected() {
    for (line, expected) in [
        ("max_connections: 0", "http.max_connections"),
        ("headers_timeout: 0", "shorter than 100ms"),
        ("body_timeout: 5", "is not a duration"),
        ("body_memory_bytes: 1000", "http.body_memory_bytes"),
        (
            "uncapped_addresses: [proxy]",
            "neither an IP address nor a network",
        ),
        ("idle_timout: 5s", "idle_timeout"),
    ] {
        let error = refused(&format!("{MINIMAL}http:\n  {line}\n"));
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn oversized_files_are_rejected_before_parsing() {
    for (text, reason) in [
        ("{".repeat(1 << 20), "nested brackets"),
        ("a: [".repeat(1000), "nested brackets"),
        ("#".repeat((1 << 20) + 1), "is longer than 1048576 bytes"),
    ] {
        let error = Config::from_yaml(&text, &Overrides::default()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// Guards against a bug: all outputs but the first were ignored silently.
#[test]
fn several_log_outputs_cause_a_warning() {
    let yaml = format!("{MINIMAL}logging: {{output: ['=', /var/log/weir.log]}}\n");
    let config = Config::from_yaml(&yaml, &Overrides::default()).unwrap();
    assert_eq!(config.logging.output, "=");
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings)
    };
    assert!(warning.contains("ignores /var/log/weir.log"), "{warning}");
}

/// Guards against a bug: clients append a slash and a name to the prefix, and `local://team//name` was refused.
#[test]
fn namespace_prefix_has_no_final_slash() {
    for (given, expected) in [
        ("local://team/", "local://team"),
        ("local://team/lakes", "local://team/lakes"),
        ("local://", "local://"),
    ] {
        let blockstore = format!("blockstore:\n  default_namespace_prefix: {given}\n");
        let yaml = MINIMAL.replace("blockstore:\n", &blockstore);
        let config = Config::from_yaml(&yaml, &Overrides::default()).unwrap();
        let Blockstore::Local {
            default_namespace_prefix,
            ..
        } = config.blockstore
        else {
            panic!("{:?}", config.blockstore);
        };
        assert_eq!(default_namespace_prefix, expected);
    }
}
