//! Long names and paths, and keys in the wrong place.

use super::*;

/// lakeFS accepts names of 300 characters and ids of 256.
#[test]
fn longest_name_and_id_are_accepted() {
    let (name, id) = ("n".repeat(1024), "i".repeat(256));
    let file = |id: &str| {
        format!(
            "name: {name}\non:\n  pre-commit:\nhooks:\n  - {{id: {id}, type: webhook, properties: {{url: 'http://x'}}}}\n"
        )
    };
    let action = parse(&file(&id)).unwrap();
    assert_eq!((action.name, &action.hooks[0].id), (name.clone(), &id));
    let refused = parse(&file(&format!("{id}i"))).unwrap_err();
    assert!(refused.contains(":5:10: hook[0] ID 'iii"), "{refused}");
}

/// Regression test: the warning did not say where a property belongs.
#[test]
fn misplaced_property_and_header_of_the_connection_are_warnings() {
    let text = webhook(
        "      url: http://x\n      headers: {Content-Length: '1', proxy-x: a, X-Own: b}\n    timeout: 5s\n",
    );
    let warnings: Vec<String> = parse(&text)
        .unwrap()
        .warnings
        .into_iter()
        .map(|warning| warning.reason)
        .collect();
    let own = "is not sent: the server sets the headers of the connection itself";
    assert_eq!(
        warnings,
        [
            "unknown key 'hook[0].timeout' is ignored; move it below 'properties:'".to_owned(),
            format!("hook[0] type 'webhook': header 'Content-Length' {own}"),
            format!("hook[0] type 'webhook': header 'proxy-x' {own}"),
        ]
    );
}

/// Regression test: a path of any length was accepted and repeated in messages.
#[test]
fn length_of_a_component_path_is_limited() {
    let with = |path: &str| wasm("").replace("hooks/x.wasm", path);
    parse(&with(&"p".repeat(1024))).unwrap();
    check_refused(
        &with(&"p".repeat(1025)),
        "8:18: hook[0] type 'wasm': 'component' has 1025 bytes; paths have at most 1024",
    );
}
