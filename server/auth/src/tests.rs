//! Tests of the single-administrator mode.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{ManualClock, OffsetDateTime, SeededIds};
use kv::{MemoryStore, Store};

use super::*;
use crate::records::SUPER_ADMIN_KEY;
use crate::{Permission, arn};

/// The secret of the administrator's access key.
const USER_SECRET: &str = "a secret of the administrator";

/// The store and clock that the servers of an installation share.
struct Installation {
    kv: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl Installation {
    fn new() -> Self {
        let start = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        Self {
            kv: Arc::new(MemoryStore::default()),
            clock: Arc::new(ManualClock::new(start)),
        }
    }

    fn auth(&self, secret_key: &str) -> Auth {
        self.auth_over(Arc::clone(&self.kv) as Arc<dyn Store>, secret_key)
    }

    fn auth_over(&self, kv: Arc<dyn Store>, secret_key: &str) -> Auth {
        let options = Options {
            secret_key: secret_key.to_owned(),
            login_duration: Duration::from_secs(3600),
            cache_enabled: true,
            cache_size: 16,
            cache_ttl: Duration::from_secs(20),
            fixed_installation_id: None,
        };
        let ids = Arc::new(SeededIds::new(3, Arc::clone(&self.clock) as Arc<dyn Clock>));
        Auth::new(kv, Arc::clone(&self.clock) as Arc<dyn Clock>, ids, options)
    }
}

/// Guards against a bug: a damaged administrator record was reported as the caller's mistake.
#[test]
fn damaged_administrator_is_a_failure_of_the_store() {
    assert!(matches!(user_of(b"\xff"), Err(Error::Records(_))));
}

/// Guards against a bug: two concurrent requests could both store the preferences, and the second overwrote the first.
#[tokio::test]
async fn communication_preferences_are_stored_once() {
    let installation = Installation::new();
    const KEY: &str = "a secret key that is long";
    let auth = installation.auth(KEY);
    auth.start().await.unwrap();
    auth.setup("admin", None).await.unwrap();
    // A store that answers a little later, so that both requests read before one writes.
    let faults = kv::testing::Faults {
        yields: 128,
        ..kv::testing::Faults::default()
    };
    let mut stored = Vec::new();
    for seed in 0..20 {
        let kv = Arc::clone(&installation.kv);
        kv.delete(AUTH_PARTITION, crate::records::COMM_PREFS_KEY)
            .await
            .unwrap();
        let slow = Arc::new(kv::testing::FaultyStore::new(kv, seed, faults));
        let both = [
            installation.auth_over(slow.clone(), KEY),
            installation.auth_over(slow, KEY),
        ];
        let set = |auth: Auth, name: &str| {
            let prefs = BTreeMap::from([("feature_updates".to_owned(), name.to_owned())]);
            async move { auth.set_comm_prefs(prefs).await.is_ok() }
        };
        let [one, two] = both;
        let done = tokio::join!(set(one, "one"), set(two, "two"));
        stored.push(u8::from(done.0) + u8::from(done.1));
    }
    assert_eq!(stored, [1; 20]);
}

#[tokio::test]
async fn setup_succeeds_once() {
    let auth = Installation::new().auth("a secret key that is long");
    assert!(!auth.setup_state().await.unwrap().initialized);
    auth.setup("admin", None).await.unwrap();
    assert!(auth.setup_state().await.unwrap().initialized);
    let again = auth.setup("eve", None).await;
    assert!(matches!(again, Err(Error::AlreadyExists(_))), "{again:?}");
}

#[tokio::test]
async fn key_of_the_setup_authenticates_the_administrator() {
    let auth = Installation::new().auth("a secret key that is long");
    let key = auth.setup("admin", None).await.unwrap();
    let admin = auth
        .authenticate_key(&key.access_key_id, &key.secret_access_key)
        .await
        .unwrap();
    assert_eq!(admin.username, "admin");
    let all = [Permission::new("fs:DeleteRepository", arn::repository("r"))];
    auth.authorize(&admin, &all).await.unwrap();
}

#[tokio::test]
async fn wrong_keys_and_secrets_are_rejected() {
    let auth = Installation::new().auth("a secret key that is long");
    let key = auth.setup("admin", None).await.unwrap();
    for (id, secret) in [
        (&key.access_key_id[..], "wrong"),
        ("AKIAJUNKNOWN", "x"),
        ("", ""),
        (&"x".repeat(300)[..], "x"),
    ] {
        let refused = auth.authenticate_key(id, secret).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{id}");
    }
}

#[tokio::test]
async fn server_with_another_secret_key_does_not_start() {
    let installation = Installation::new();
    installation.auth("k").setup("admin", None).await.unwrap();
    installation.auth("k").start().await.unwrap();
    let refused = installation.auth("other").start().await.unwrap_err();
    assert!(matches!(refused, Error::Secret));
    assert!(refused.to_string().contains("auth.encrypt.secret_key"));
}

/// Regression test: secret keys of any length were accepted, and anyone with a session token could find a short key
/// by brute force.
#[tokio::test]
async fn short_secret_key_is_rejected_by_new_installations() {
    let installation = Installation::new();
    for short in ["k", "fifteen bytes.."] {
        let refused = installation.auth(short).start().await.unwrap_err();
        let message = refused.to_string();
        assert!(matches!(refused, Error::InvalidValue(_)), "{message}");
        assert!(
            message.contains("at least 16") && message.contains("openssl rand -hex 32"),
            "{message}"
        );
    }
    installation.auth("sixteen bytes...").start().await.unwrap();
}

#[tokio::test]
async fn short_secret_key_of_an_existing_installation_works() {
    let lakefs = Installation::new();
    let key = lakefs.auth("k").setup("admin", None).await.unwrap();
    let existing = lakefs.auth("k");
    existing.start().await.unwrap();
    existing
        .authenticate_key(&key.access_key_id, &key.secret_access_key)
        .await
        .unwrap();
}

const LONG_KEY: &str = "a secret key that is long";

/// A session token that lakeFS made for the administrator.
fn token_of_lakefs(installation: &Installation) -> String {
    let now = installation.clock.now();
    let ids = SeededIds::new(5, Arc::clone(&installation.clock) as Arc<dyn Clock>);
    let key = SigningKey::of_lakefs(LONG_KEY);
    crate::tokens::issue(&key, "admin", now, now + Duration::from_secs(60), &ids)
}

/// Creates an administrator with the key `AK`.
async fn set_up(auth: &Auth) {
    let key = ("AK".into(), USER_SECRET.into());
    auth.setup("admin", Some(key)).await.unwrap();
}

/// An installation without the record of a signing method, as lakeFS sets it up.
#[tokio::test]
async fn existing_installation_keeps_the_signing_key_of_lakefs() {
    let old = Installation::new();
    set_up(&old.auth(LONG_KEY)).await;
    let auth = old.auth(LONG_KEY);
    auth.start().await.unwrap();
    auth.authenticate_token(&token_of_lakefs(&old))
        .await
        .unwrap();
    let (ours, _) = auth.login("AK", USER_SECRET).await.unwrap();
    let key = SigningKey::of_lakefs(LONG_KEY);
    crate::tokens::verify(&key, &ours, old.clock.now()).unwrap();
}

/// If one key served two purposes, a leak from one would endanger the other.
#[tokio::test]
async fn new_installation_derives_its_signing_key() {
    let new = Installation::new();
    let auth = new.auth(LONG_KEY);
    auth.start().await.unwrap();
    set_up(&auth).await;
    let refused = auth.authenticate_token(&token_of_lakefs(&new)).await;
    assert!(
        matches!(refused, Err(Error::Unauthenticated)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn all_servers_of_an_installation_derive_the_same_signing_key() {
    let new = Installation::new();
    let (first, second) = (new.auth(LONG_KEY), new.auth(LONG_KEY));
    first.start().await.unwrap();
    second.start().await.unwrap();
    set_up(&first).await;
    let (token, _) = first.login("AK", USER_SECRET).await.unwrap();
    second.authenticate_token(&token).await.unwrap();
    let restarted = new.auth(LONG_KEY);
    restarted.start().await.unwrap();
    restarted.authenticate_token(&token).await.unwrap();
}

#[tokio::test]
async fn lakefs_can_decrypt_the_secrets_of_a_new_installation() {
    let new = Installation::new();
    let auth = new.auth(LONG_KEY);
    auth.start().await.unwrap();
    set_up(&auth).await;
    let record = crate::records::credential_key("AK");
    let stored = new.kv.get(BASIC_PARTITION, &record).await.unwrap().unwrap();
    let stored = CredentialData::decode(stored.value.as_ref()).unwrap();
    let opened = secrets::open(LONG_KEY, &stored.secret_access_key_encrypted).unwrap();
    assert_eq!(opened, USER_SECRET);
}

#[tokio::test]
async fn unknown_signing_method_is_rejected() {
    let installation = Installation::new();
    let (partition, key) = (crate::records::WEIR_PARTITION, crate::records::SIGNING_KEY);
    installation
        .kv
        .set(partition, key, Bytes::from_static(b"hkdf-sha512/v2"))
        .await
        .unwrap();
    let refused = installation.auth("a secret key that is long").start().await;
    assert!(refused.unwrap_err().to_string().contains("hkdf-sha512/v2"));
}

#[tokio::test]
async fn concurrent_setups_create_one_administrator() {
    let installation = Installation::new();
    let (a, b) = (installation.auth("k"), installation.auth("k"));
    let (a, b) = tokio::join!(a.setup("one", None), b.setup("two", None));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
}

#[tokio::test]
async fn empty_names_and_keys_are_rejected() {
    let auth = Installation::new().auth("k");
    for (name, key) in [
        ("", None),
        ("a", Some(("".into(), "s".into()))),
        ("a", Some(("i".into(), "".into()))),
    ] {
        assert!(matches!(
            auth.setup(name, key).await,
            Err(Error::InvalidValue(_))
        ));
    }
    assert!(!auth.setup_state().await.unwrap().initialized);
}

/// Guards against a bug: setup, which cannot be repeated, accepted key ids that could never authenticate.
#[tokio::test]
async fn key_ids_that_cannot_authenticate_are_rejected() {
    let auth = Installation::new().auth("k");
    let setup = async |id: &str| {
        auth.setup("admin", Some((id.into(), USER_SECRET.into())))
            .await
    };
    for id in [
        "a:b", "a/b", "a b", " ab", "a\nb", "a\0", "a\x7f", "a,b", "a=b", "a%b", "a+b", "\"a\"",
        "a\u{e9}",
    ] {
        let refused = setup(id).await;
        assert!(
            matches!(refused, Err(Error::KeyIdCharacters)),
            "{id:?}: {refused:?}"
        );
    }
    let refused = auth.setup("ad\nmin", None).await;
    assert!(
        matches!(refused, Err(Error::InvalidValue(_))),
        "{refused:?}"
    );
    assert!(!auth.setup_state().await.unwrap().initialized);
    setup("AKIA-me_1.x@example").await.unwrap();
}

/// Guards against a bug: the API created an administrator whose secret had one byte.
#[tokio::test]
async fn short_secret_is_rejected() {
    let auth = Installation::new().auth("k");
    let setup = async |secret: &str| {
        auth.setup("admin", Some(("AK".into(), secret.into())))
            .await
    };
    for short in ["s", "fifteen bytes 0"] {
        let refused = setup(short).await;
        assert!(matches!(refused, Err(Error::ShortSecret)), "{refused:?}");
    }
    assert!(!auth.setup_state().await.unwrap().initialized);
    setup("sixteen bytes 00").await.unwrap();
}

#[tokio::test]
async fn session_token_expires_after_the_login_duration() {
    let installation = Installation::new();
    let auth = installation.auth("k");
    set_up(&auth).await;
    let (token, expires) = auth.login("AK", USER_SECRET).await.unwrap();
    assert_eq!(
        expires,
        installation.clock.now() + Duration::from_secs(3600)
    );
    assert_eq!(
        auth.authenticate_token(&token).await.unwrap().username,
        "admin"
    );
    installation.clock.advance(Duration::from_secs(3600));
    assert!(matches!(
        auth.authenticate_token(&token).await,
        Err(Error::Unauthenticated)
    ));
    assert!(matches!(
        auth.login("AK", "no").await,
        Err(Error::Unauthenticated)
    ));
}

#[tokio::test]
async fn token_of_a_deleted_user_is_rejected() {
    let installation = Installation::new();
    let auth = installation.auth("k");
    set_up(&auth).await;
    let (token, _) = auth.login("AK", USER_SECRET).await.unwrap();
    installation
        .kv
        .delete(BASIC_PARTITION, SUPER_ADMIN_KEY)
        .await
        .unwrap();
    assert!(matches!(
        auth.authenticate_token(&token).await,
        Err(Error::Unauthenticated)
    ));
}

#[tokio::test]
async fn wrong_secret_key_is_reported_without_printing_it() {
    let installation = Installation::new();
    installation
        .auth("right")
        .setup("admin", Some(("AK".into(), USER_SECRET.into())))
        .await
        .unwrap();
    let auth = installation.auth("wrong-secret");
    let e = auth.authenticate_key("AK", USER_SECRET).await.unwrap_err();
    assert!(matches!(e, Error::Secret), "{e}");
    assert!(!format!("{auth:?}").contains("wrong-secret"));
}

#[tokio::test]
async fn administrator_has_exactly_one_key() {
    let auth = Installation::new().auth("k");
    set_up(&auth).await;
    let second = auth.create_credentials("admin").await;
    assert!(matches!(second, Err(Error::InvalidValue(_))));
    let key = auth.credentials("admin", "AK").await.unwrap();
    assert_eq!(key.access_key_id, "AK");
    let unknown = auth.credentials("admin", "none").await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn administrator_is_the_only_user() {
    let auth = Installation::new().auth("k");
    set_up(&auth).await;
    for (after, expected) in [("", &["admin"][..]), ("admin", &[])] {
        let users = auth.list_users("", after, 10).await.unwrap().results;
        let names: Vec<_> = users.iter().map(|user| user.username.as_str()).collect();
        assert_eq!(names, expected, "{after}");
    }
}

#[tokio::test]
async fn preferences_are_stored_once_and_only_after_setup() {
    let installation = Installation::new();
    let auth = installation.auth("k");
    let prefs = BTreeMap::from([("feature_updates".to_owned(), "true".to_owned())]);
    assert!(matches!(
        auth.set_comm_prefs(prefs.clone()).await,
        Err(Error::NotFound(_))
    ));
    auth.setup("admin", None).await.unwrap();
    auth.set_comm_prefs(prefs.clone()).await.unwrap();
    assert!(!auth.setup_state().await.unwrap().comm_prefs_missing);
    assert!(matches!(
        auth.set_comm_prefs(prefs).await,
        Err(Error::AlreadyExists(_))
    ));
}

#[tokio::test]
async fn requests_are_counted_by_month_across_servers() {
    let installation = Installation::new();
    let (a, b) = (installation.auth("k"), installation.auth("k"));
    a.count_request();
    b.count_request();
    b.count_request();
    a.flush_usage().await.unwrap();
    assert_eq!(
        b.usage().await.unwrap(),
        [MonthlyUsage {
            year: 2023,
            month: 11,
            count: 3
        }]
    );
    installation.clock.advance(Duration::from_secs(40 * 86_400));
    a.count_request();
    assert_eq!(
        a.usage().await.unwrap().last().unwrap(),
        &MonthlyUsage {
            year: 2023,
            month: 12,
            count: 1
        }
    );
}

#[tokio::test]
async fn installation_id_is_stable() {
    let installation = Installation::new();
    let id = installation.auth("k").installation_id().await.unwrap();
    assert_eq!(id, installation.auth("k").installation_id().await.unwrap());
    assert_eq!(id.len(), 36);
}
