//! Configurations as people write them, and what they are told when one is wrong.

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
fn a_lakefs_file_starts_weir_unchanged() {
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
fn a_key_without_a_value_keeps_its_default() {
    let yaml = format!("{MINIMAL}  login_duration:\n  cache:\n    size:\n");
    let config = Config::from_yaml(&yaml, &Overrides::default()).unwrap();
    assert_eq!(config.auth.cache_size, 1024);
    assert_eq!(config.auth.login_duration, Duration::from_secs(7 * 86_400));
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
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
            "config.yaml: `database` has a value, but holds keys of its own: write them below it, indented",
        ),
        ("[1, 2]", "expected keys such as `database:` at the top"),
        ("a: [", "config.yaml is not valid YAML"),
        (
            "{}",
            "database.type is not set: choose `sqlite` or `postgres`, or start with --data DIR (in the configuration file, or as $WEIR_DATABASE_TYPE)",
        ),
        (
            "database: {type: oracle}",
            "database.type: oracle (config.yaml) is none of `sqlite`, `postgres`, `local`, `mem`",
        ),
        (
            "database: {type: dynamodb}",
            "is not offered yet: use `sqlite` or `postgres`",
        ),
        (
            "database: {type: postgres}",
            "database.postgres.connection_string is not set: database.type is postgres (config.yaml); give it as postgres://",
        ),
        (
            "database: {type: mem}\nblockstore: {type: s3}",
            "blockstore.type: s3 (config.yaml) is not offered yet",
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
            "logging: {level: loud}",
            "logging.level: loud (config.yaml) is none of",
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
    assert!(refused(&twice).contains("ends in another one"));
    let rbac = MINIMAL.replace("auth:\n", "auth:\n  ui_config:\n    rbac: external\n");
    assert!(refused(&rbac).contains("auth.ui_config.rbac: external"));
}

#[test]
fn variables_win_over_the_file_and_weirs_over_lakefs() {
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

#[test]
fn one_folder_holds_the_embedded_default() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data: Some(dir.path().to_owned()),
        ..Overrides::default()
    };
    let first = Config::from_yaml("", &overrides).unwrap();
    let second = Config::from_yaml("", &overrides).unwrap();
    assert!(
        matches!(&first.database, Database::Sqlite { path, .. } if path.starts_with(dir.path()))
    );
    assert_eq!(
        first.auth.secret_key, second.auth.secret_key,
        "the key is kept"
    );
    assert!(first.auth.secret_key.len() >= 40);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.path().join("secret_key"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(dir.path().join("secret_key"), "").unwrap();
    assert!(
        Config::from_yaml("", &overrides)
            .unwrap_err()
            .to_string()
            .contains("is empty")
    );
}

#[test]
fn what_contradicts_the_folder_is_refused_or_told() {
    let dir = tempfile::tempdir().unwrap();
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
                "{key}.type: mem (config.yaml) forgets at the end what --data {folder} is to keep: leave out one of the two"
            )
        );
    }
    let elsewhere = "database: {type: postgres, postgres: {connection_string: 'postgres://x@y/z'}}\n\
                     blockstore: {type: local, local: {path: /elsewhere}}";
    assert_eq!(
        Config::from_yaml(elsewhere, &overrides).unwrap().warnings,
        [
            format!(
                "database.type: postgres (config.yaml) wins over --data {folder}: not everything is kept in that folder"
            ),
            format!(
                "blockstore.local.path: /elsewhere (config.yaml) wins over --data {folder}: not everything is kept in that folder"
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
fn a_file_that_is_not_read_is_told_of() {
    let there = || Some(PathBuf::from("config.yaml"));
    let mut overrides = Overrides::default();
    assert_eq!(file_left_unread(&overrides, there()), None);
    overrides.quickstart = true;
    let told = file_left_unread(&overrides, there()).unwrap();
    assert_eq!(
        told,
        "the configuration file config.yaml is not read with --quickstart: name it with --config if it is meant"
    );
    overrides.data = Some(PathBuf::from("lake"));
    let told = file_left_unread(&overrides, there()).unwrap();
    assert!(told.contains("is not read with --data"), "{told}");
    assert_eq!(file_left_unread(&overrides, None), None);
    overrides.file = there();
    assert_eq!(file_left_unread(&overrides, there()), None);
}

#[test]
fn a_quickstart_listens_on_this_machine_only() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data: Some(dir.path().to_owned()),
        quickstart: true,
        ..Overrides::default()
    };
    let config = Config::from_yaml("", &overrides).unwrap();
    assert_eq!(config.listen_address, "127.0.0.1:8000");
    for open in ["0.0.0.0:8000", "192.168.0.7:80", ":8000"] {
        let open = Overrides {
            listen_address: Some(open.to_owned()),
            ..overrides.clone()
        };
        let refused = Config::from_yaml("", &open).unwrap_err().to_string();
        assert!(
            refused.contains("open a quickstart to the network"),
            "{refused}"
        );
    }
    assert_eq!(config.installation.user_name.as_deref(), Some("quickstart"));
    assert_eq!(
        config.installation.access_key_id, None,
        "keys are made at the start"
    );
}

#[test]
fn a_badger_folder_is_not_taken_for_an_empty_one() {
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
fn two_first_starts_at_once_agree_on_the_key() {
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
            "and it is kept"
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

/// A folder was served to the whole network, and its first caller became administrator.
#[test]
fn a_folder_is_served_to_this_machine_and_a_lakefs_file_to_all() {
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
fn a_setup_token_is_long_and_never_printed() {
    let with = |token: &str| format!("{MINIMAL}installation:\n  setup_token: {token}\n");
    for short in ["hunter2hunter2", "'hunter2 hunter2 hunter2'"] {
        let said = refused(&with(short));
        assert!(
            said.contains("installation.setup_token: [redacted]") && said.contains("at least 16"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    let config = Config::from_yaml(&with("hunter2hunter2hunter2"), &Overrides::default()).unwrap();
    assert_eq!(
        config.installation.setup_token.as_deref(),
        Some("hunter2hunter2hunter2")
    );
    assert!(!format!("{config:?}").contains("hunter2hunter2"));
}

#[test]
fn webhook_targets_are_checked_at_the_start() {
    let with = |lists: &str| format!("{MINIMAL}actions:\n  webhook:\n{lists}");
    let fine = with(
        "    allow: [10.0.0.0/8, hooks.example.com, '*.internal']\n    deny: '10.0.0.66, fd00::/8'\n",
    );
    assert!(Config::from_yaml(&fine, &Overrides::default()).is_ok());
    let said = refused(&with("    deny: [10.0.0.1/8]\n"));
    assert!(
        said.contains("actions.webhook.deny") && said.contains("10.0.0.1/8 is no CIDR"),
        "{said}"
    );
    assert!(refused(&with("    alow: []\n")).contains("did you mean `actions.webhook.allow`?"));
}
