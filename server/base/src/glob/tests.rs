//! Limits of globs, and matching compared with `globset`.

use proptest::prelude::*;

use super::*;

fn owned(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

/// Regression test: 20,000 nested braces overflowed the stack of the thread that compiled or dropped the pattern.
#[test]
fn nested_braces_are_rejected_before_parsing() {
    let on_a_small_stack = || {
        for depth in [MAX_BRACES + 1, 500, 20_000, 1_000_000] {
            let nested = format!("{}{}", "{".repeat(depth), "}".repeat(depth));
            for pattern in [nested.clone(), "{".repeat(depth), format!("{nested}x")] {
                for dialect in [Dialect::Paths, Dialect::Names] {
                    assert!(parse(&pattern, dialect).unwrap_err().exceeds_limit());
                    compile(std::slice::from_ref(&pattern), dialect).unwrap_err();
                }
            }
        }
        let deepest = format!("{}a{}", "{".repeat(MAX_BRACES), "}".repeat(MAX_BRACES));
        assert!(compile(&[deepest], Dialect::Paths).unwrap().is_match("a"));
    };
    crate::testing::on_small_stack(on_a_small_stack);
}

#[test]
fn errors_name_the_exceeded_limit() {
    let bytes = |n: usize| "a".repeat(n);
    for (patterns, expected) in [
        (
            vec![bytes(MAX_PATTERN_BYTES + 1)],
            "aaa… is not a valid glob: it is longer than 1024 bytes".to_owned(),
        ),
        (
            vec!["{a}".repeat(33)],
            "is not a valid glob: it has more than 32 opening braces".to_owned(),
        ),
        (
            vec!["a".to_owned(); MAX_PATTERNS + 1],
            "there are more than 1000 patterns".to_owned(),
        ),
        (
            vec![bytes(1000); 66],
            "the patterns are longer than 65536 bytes in total".to_owned(),
        ),
        (
            owned(&["a["]),
            "'a[' is not a valid glob: unclosed character class; missing ']'".to_owned(),
        ),
    ] {
        let error = compile(&patterns, Dialect::Paths).unwrap_err().to_string();
        assert!(
            error
                .replace('\'', "")
                .ends_with(&expected.replace('\'', "")),
            "{error}"
        );
    }
    assert!(compile(&vec![bytes(1000); 65], Dialect::Paths).is_ok());
}

#[test]
fn paths_and_names_differ_in_slashes_and_empty_alternatives() {
    let matches = |pattern: &str, text: &str, dialect| {
        compile(&owned(&[pattern]), dialect).unwrap().is_match(text)
    };
    assert!(!matches("*", "a/b", Dialect::Paths) && matches("*", "a/b", Dialect::Names));
    assert!(matches("**", "a/b", Dialect::Paths));
    assert!(matches("r{,-1}", "r", Dialect::Names));
    assert!(!matches("r{,-1}", "r", Dialect::Paths));
    assert!(matches("\\*", "*", Dialect::Paths) && matches("\\*", "*", Dialect::Names));
}

/// Returns a glob of the same pattern that `globset` matches with a regex engine.
fn reference(pattern: &str, dialect: Dialect) -> Option<globset::GlobMatcher> {
    let parsed = GlobBuilder::new(pattern)
        .literal_separator(dialect == Dialect::Paths)
        .empty_alternates(dialect == Dialect::Names)
        .backslash_escape(true)
        .build();
    Some(parsed.ok()?.compile_matcher())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4 * crate::testing::cases()))]

    #[test]
    fn globs_match_as_in_globset(
        pattern in "(a|b|/|\\*|\\*\\*/|/\\*\\*|\\?|é|\\[[ab/é!-]{1,3}\\]|\\{|\\}|,|\\\\|\\.|\\^|\\$){0,12}",
        texts in proptest::collection::vec("[ab/é.,^$]{0,8}", 1..20),
    ) {
        for dialect in [Dialect::Paths, Dialect::Names] {
            let (glob, expected) = (parse(&pattern, dialect), reference(&pattern, dialect));
            prop_assert_eq!(glob.is_ok(), expected.is_some(), "{:?}", glob);
            let (Ok(glob), Some(expected)) = (glob, expected) else {
                continue;
            };
            for text in &texts {
                prop_assert_eq!(glob.is_match(text), expected.is_match(text), "{} on {}", pattern, text);
            }
        }
    }
}

/// A word holds 64 positions, so the lengths of the patterns are around multiples of 64.
#[test]
fn long_globs_match_as_in_globset() {
    for unit in [
        "a", "*a", "a?", "[ab]", "a/**/", "**/a", "{a,bb}", "{ab*,}", "é", "{é,a}",
    ] {
        for length in [1, 20, 63, 64, 65, 127, 128, 129, 300] {
            let max_units = if unit.contains('{') {
                MAX_BRACES
            } else {
                MAX_PATTERN_BYTES / unit.len()
            };
            let pattern = unit.repeat(length.min(max_units));
            for dialect in [Dialect::Paths, Dialect::Names] {
                let glob = parse(&pattern, dialect).unwrap();
                let expected = reference(&pattern, dialect).unwrap();
                for text in ["a", "ab", "a/", "a/b/", "é", "bb"] {
                    for times in [length - 1, length, length + 1, 2 * length] {
                        let text = text.repeat(times);
                        let matches = expected.is_match(&text);
                        assert_eq!(glob.is_match(&text), matches, "{pattern} on {text}");
                    }
                }
            }
        }
    }
}

/// Guards against a bug: 36 patterns of 900 bytes that alternate `*` and a letter took 33 million steps on a name of
/// 900 bytes, on a thread that serves requests.
#[test]
fn steps_of_long_globs_are_bounded() {
    let stars = "*a".repeat(449) + "*z";
    let glob = parse(&stars, Dialect::Names).unwrap();
    let set = GlobSet::new(vec![glob; 36], 36 * 15 * 4).unwrap();
    assert!(!set.is_match("a".repeat(899) + "b") && set.is_match("a".repeat(899) + "z"));
}

#[test]
fn lists_without_braces_are_within_the_steps() {
    for unit in [
        "*a", "?*", "a/**/", "**/*b", "[a-z]*", "*é", "a**/", "*/**/",
    ] {
        for (length, count) in [(64, 1000), (65, 1000), (127, 516), (1024, 64)] {
            let mut pattern = unit.repeat(length / unit.len());
            pattern.truncate(length);
            pattern.push_str(&"a".repeat(length - pattern.len()));
            for dialect in [Dialect::Paths, Dialect::Names] {
                let steps = count * parse(&pattern, dialect).unwrap().0.steps();
                assert!(steps <= MAX_STEPS, "{unit} {length}: {steps}");
            }
        }
    }
}

#[test]
fn combinations_of_alternatives_are_bounded() {
    let group = |n: usize| {
        let alternatives: Vec<String> = (0..n).map(|i| format!("{i:x}-")).collect();
        format!("{{{}}}", alternatives.join(","))
    };
    let two = |n| format!("{0}{0}", group(n));
    compile(&[group(200), two(50)], Dialect::Paths).unwrap();
    let many = parse(&two(130), Dialect::Paths).unwrap_err();
    assert_eq!(many, GlobError::TooManySteps);
    let error = compile(&vec![two(50); 10], Dialect::Paths).unwrap_err();
    assert_eq!(error, GlobsError::TooManySteps);
    let limit = "the alternatives in its braces have too many combinations";
    assert!(many.exceeds_limit() && many.to_string() == limit);
}

#[test]
fn globs_that_match_only_the_empty_text_are_recognized() {
    for (pattern, expected) in [
        ("", false),
        ("{}", false),
        ("{,}", false),
        ("{{},{,}}{}", false),
        ("*", true),
        ("**", true),
        ("a", true),
        ("{}a", true),
        ("{,a}", true),
        ("{a,b}{}", true),
        ("?", true),
        ("[ab]é", true),
        ("[!a]", true),
        ("a*[!/]{b,}c", true),
    ] {
        for dialect in [Dialect::Paths, Dialect::Names] {
            let glob = parse(pattern, dialect).unwrap();
            assert_eq!(glob.matches_some_text(), expected, "{pattern} {dialect:?}");
        }
    }
    let long = format!("{}{{}}", "?".repeat(1022));
    assert!(parse(&long, Dialect::Paths).unwrap().matches_some_text());
}
