//! Compiled rules, and rules that are expensive to match.

use std::sync::Arc;

use prost::Message as _;

use super::compiled::glob;
use super::{Blocked, Compiled, MAX_RULES_BYTES, MAX_RULES_STEPS, Protection, rule};
use crate::Error;
use crate::records::{BlockedActions, BranchProtectionRules, PROTECTED_BRANCHES, ProtectionRule};
use crate::testing::{Lake, branch};

/// Rules that block all actions.
fn rules(patterns: impl IntoIterator<Item = String>) -> BranchProtectionRules {
    let rules = patterns.into_iter().map(|pattern| ProtectionRule {
        pattern,
        blocked: Some(BlockedActions { value: vec![0, 1] }),
    });
    BranchProtectionRules {
        rules: rules.collect(),
    }
}

/// Stores rules without checking them.
async fn store(lake: &Lake, rules: &BranchProtectionRules) {
    let (partition, value) = (lake.repo.partition(), rules.encode_to_vec().into());
    let set = lake.kv.set(partition.as_bytes(), PROTECTED_BRANCHES, value);
    set.await.unwrap();
}

#[tokio::test]
async fn rules_read_before_a_change_are_not_cached_after_it() {
    let lake = Lake::new().await;
    let (protection, lake) = (Protection::new(lake.kv), lake.repo);
    let before = *protection.changes();
    let old = Arc::new(Compiled::of(&BranchProtectionRules::default()).unwrap());
    let patterns = ["main".to_owned()];
    protection.replace(&lake, &patterns, None).await.unwrap();
    protection.remember(lake.partition(), old, before);
    protection
        .check(&lake, &branch("main"), Blocked::Commit)
        .await
        .unwrap_err();
}

#[test]
fn patterns_match_names() {
    let matches = |pattern: &str, name: &str| glob(pattern).unwrap().is_match(name);
    for (pattern, name) in [
        ("main", "main"),
        ("ma*", "main"),
        ("*", "x"),
        ("**", "x"),
        ("m??n", "main"),
        ("*-*", "a-b"),
        ("a*b*c", "aXbYbZc"),
        ("v[0-9]*", "v10"),
        ("{main,prod}", "prod"),
        ("release{,-*}", "release"),
    ] {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("main", "main2"),
        ("main", "xmain"),
        ("ma*", "dev"),
        ("m?n", "main"),
        ("*x", "xy"),
        ("v[!0-9]*", "v10"),
        ("{main,prod}", "dev"),
        ("Main", "main"),
    ] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn malformed_patterns_are_refused() {
    let nested = "{".repeat(450) + &"}".repeat(450);
    for bad in ["", "[a", "{a", "[z-a]", &"x".repeat(901), &nested] {
        let error = rule(bad).unwrap_err().to_string();
        assert!(error.contains("branch protection pattern"), "{error}");
    }
    rule(&"x".repeat(900)).unwrap();
}

/// Regression: a stored rule of 20,000 nested braces overflowed the stack at the first write
/// after each start.
#[tokio::test]
async fn oversized_stored_rule_blocks_all_branches_until_replaced() {
    let lake = Lake::new().await;
    let (protection, repo) = (Protection::new(lake.kv.clone()), lake.repo.clone());
    let deep = "{".repeat(20_000) + &"}".repeat(20_000);
    let stored = rules([deep]);
    base::testing::on_small_stack(|| Compiled::of(&stored).unwrap_err());
    store(&lake, &stored).await;
    let (main, dev) = (branch("main"), branch("dev"));
    let refused = protection.check(&repo, &main, Blocked::Commit);
    let error = refused.await.unwrap_err().to_string();
    assert!(error.contains("replace the rules"), "{error}");
    let refused = protection.add(&repo, "dev").await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("replace the rules"), "{error}");
    assert_eq!(protection.rules(&repo).await.unwrap().patterns.len(), 1);
    let patterns = ["main".to_owned()];
    protection.replace(&repo, &patterns, None).await.unwrap();
    let other = protection.check(&repo, &dev, Blocked::Commit);
    other.await.unwrap();
}

/// Guards against a bug: these rules took 33 million steps for one check of a branch, on a thread that serves requests.
#[tokio::test]
async fn rules_without_braces_take_few_steps() {
    let lake = Lake::new().await;
    let (protection, repo) = (Protection::new(lake.kv.clone()), &lake.repo);
    let patterns: Vec<String> = (0..36)
        .map(|n| "*a".repeat(440) + &n.to_string() + "*z")
        .collect();
    protection.replace(repo, &patterns, None).await.unwrap();
    let steps = protection.compiled(repo).await.unwrap().steps();
    assert!(steps <= MAX_RULES_STEPS, "{steps}");
    let (free, protected) = ("a".repeat(899) + "b", "a".repeat(880) + "35z");
    let check = async |name: &str| {
        let branch = branch(name);
        protection.check(repo, &branch, Blocked::Commit).await
    };
    check(&free).await.unwrap();
    check(&protected).await.unwrap_err();
}

/// A pattern with two braces of 50 alternatives each, which have 2,500 combinations.
fn with_combinations(n: usize) -> String {
    let alternatives: Vec<String> = (0..50).map(|i| format!("{i:x}-")).collect();
    let group = format!("{{{}}}", alternatives.join(","));
    format!("{group}{group}{n}")
}

#[tokio::test]
async fn new_rules_with_too_many_combinations_are_refused() {
    let lake = Lake::new().await;
    let (protection, repo) = (Protection::new(lake.kv.clone()), &lake.repo);
    let patterns: Vec<String> = (0..10).map(with_combinations).collect();
    let refused = protection.replace(repo, &patterns, None).await;
    let is_advised = |refused: &Result<(), Error>| matches!(refused, Err(Error::Advised { problem, .. }) if problem.contains("combinations"));
    assert!(is_advised(&refused), "{refused:?}");
    assert!(protection.rules(repo).await.unwrap().patterns.is_empty());
    let few = &patterns[..2];
    protection.replace(repo, few, None).await.unwrap();
    store(&lake, &rules(patterns[1..].to_vec())).await;
    let refused = protection.add(repo, &patterns[0]).await;
    assert!(is_advised(&refused), "{refused:?}");
}

#[tokio::test]
async fn stored_rules_with_many_combinations_protect() {
    let lake = Lake::new().await;
    let (protection, repo) = (Protection::new(lake.kv.clone()), &lake.repo);
    let stored = rules((0..20).map(with_combinations));
    assert!(Compiled::of(&stored).unwrap().steps() > MAX_RULES_STEPS);
    store(&lake, &stored).await;
    let check = async |name: &str| {
        let branch = branch(name);
        protection.check(repo, &branch, Blocked::StagingWrite).await
    };
    check("a-b-19").await.unwrap_err();
    check("a-b-20").await.unwrap();
    // A rule can be removed even if the other rules still take too many steps.
    let last = with_combinations(19);
    protection.remove(repo, &last).await.unwrap();
    check("a-b-19").await.unwrap();
}

#[test]
fn new_rules_without_braces_are_within_the_steps() {
    for unit in ["a*", "*a*b", "*a", "?*", "[ab]*", "**/a*", "*a-*"] {
        for length in [2, 3, 4, 5, 6, 63, 64, 65, 129, 900] {
            let mut pattern = unit.repeat(length);
            pattern.truncate(length);
            if glob(&pattern).is_err() {
                continue;
            }
            let one = rules([pattern.clone()]);
            let max_patterns = MAX_RULES_BYTES / one.encoded_len();
            let steps = max_patterns * Compiled::of(&one).unwrap().steps();
            assert!(steps <= MAX_RULES_STEPS, "{pattern}: {steps}");
        }
    }
}

#[tokio::test]
async fn record_is_compiled_once() {
    let lake = Lake::new().await;
    let (protection, repo) = (Protection::new(lake.kv.clone()), &lake.repo);
    store(&lake, &rules((0..100).map(|n| format!("branch-{n}*")))).await;
    let compiling = (0..10).map(|_| protection.compiled(repo));
    let compiled = futures::future::try_join_all(compiling).await.unwrap();
    // The record is not compiled again after the repository's rules expired.
    protection.forget(&repo.partition());
    let again = protection.compiled(repo).await.unwrap();
    assert!(compiled.iter().all(|rules| Arc::ptr_eq(rules, &again)));
}
