//! Native tests of the guard, on small files written by pyarrow.

use hooks_sdk::testing::World;

use super::*;

const GOOD: &[u8] = include_bytes!("../testdata/good.parquet");
const RETYPED: &[u8] = include_bytes!("../testdata/retyped.parquet");
const DROPPED: &[u8] = include_bytes!("../testdata/dropped.parquet");
const NULLS: &[u8] = include_bytes!("../testdata/nulls.parquet");

fn rules(json: &str) -> Rules {
    Rules::from_json(json).unwrap()
}

/// The findings on all changes of a world, as `RULE: MESSAGE`.
fn judge(world: World, rules: &Rules) -> Vec<String> {
    let world = world.enter();
    let mut out = Report::default();
    for (change, object) in world.changes() {
        parquet_guard(&object.unwrap(), &change, rules, &mut out).unwrap();
    }
    out.findings()
        .iter()
        .map(|f| format!("{}: {}", f.rule, f.message))
        .collect()
}

#[test]
fn valid_files_pass() {
    let world = World::new()
        .base("t/01.parquet", GOOD)
        .candidate("t/01.parquet", GOOD)
        .candidate("t/02.parquet", GOOD);
    assert_eq!(
        judge(
            world,
            &rules(r#"{"required": ["dep_delay"], "max_null_ratio": {"dep_delay": 0.5}}"#)
        ),
        [""; 0]
    );
}

#[test]
fn changed_types_are_refused_with_both_types() {
    let world = World::new()
        .base("t/01.parquet", GOOD)
        .candidate("t/01.parquet", RETYPED);
    let found = judge(world, &rules("null"));
    assert_eq!(
        found,
        [
            "retyped-column: column dep_delay has type BYTE_ARRAY (String), but DOUBLE in t/01.parquet"
        ]
    );
}

#[test]
fn new_files_are_compared_with_the_first_file_of_their_folder() {
    let before = || {
        World::new()
            .base("t/01.parquet", GOOD)
            .candidate("t/01.parquet", GOOD)
    };
    let found = judge(before().candidate("t/02.parquet", DROPPED), &rules("null"));
    assert_eq!(
        found,
        ["dropped-column: column dep_delay of t/01.parquet is missing"]
    );
    let elsewhere = judge(before().candidate("u/02.parquet", DROPPED), &rules("null"));
    assert_eq!(elsewhere, [""; 0]);
}

#[test]
fn changed_types_and_dropped_columns_can_be_allowed() {
    let world = World::new()
        .base("t/01.parquet", GOOD)
        .candidate("t/01.parquet", RETYPED)
        .base("t/02.parquet", GOOD)
        .candidate("t/02.parquet", DROPPED);
    assert_eq!(
        judge(
            world,
            &rules(r#"{"refuse_retyped": false, "refuse_dropped": false}"#)
        ),
        [""; 0]
    );
}

#[test]
fn missing_and_forbidden_columns_are_refused() {
    let world = World::new().candidate("a.parquet", GOOD);
    let found = judge(
        world,
        &rules(r#"{"required": ["tail", "dep_delay"], "forbidden": ["carr*", "x"]}"#),
    );
    assert_eq!(
        found,
        [
            "required-column: column tail is missing",
            "forbidden-column: column carrier is forbidden (carr*)"
        ]
    );
}

#[test]
fn null_ratios_over_the_limit_are_refused() {
    let found = judge(
        World::new().candidate("a.parquet", NULLS),
        &rules(r#"{"max_null_ratio": {"dep_delay": 0.25}}"#),
    );
    assert_eq!(
        found,
        ["null-ratio: column dep_delay is null in 50.0 % of rows; the limit is 25.0 %"]
    );
}

#[test]
fn invalid_files_are_findings_not_errors() {
    for bytes in [&b""[..], b"PAR1", b"a,b\n1,2\n", &GOOD[..GOOD.len() - 3]] {
        let found = judge(
            World::new().candidate("a.parquet", bytes.to_vec()),
            &rules("null"),
        );
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("unreadable: the file is not a valid Parquet file"),
            "{found:?}"
        );
    }
}

#[test]
fn unknown_names_in_the_configuration_are_refused() {
    let e = Rules::from_json(r#"{"requird": []}"#)
        .unwrap_err()
        .to_string();
    assert!(e.contains("unknown field `requird`"), "{e}");
    let schema = <Rules as hooks_sdk::Schema>::schema();
    assert_eq!(schema["properties"]["forbidden"]["items"]["type"], "string");
    assert_eq!(schema["properties"]["refuse_dropped"]["default"], true);
}
