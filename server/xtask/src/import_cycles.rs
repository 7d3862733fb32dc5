//! Finds import cycles between the files of a crate.
//!
//! A file imports another if it names something that the other file defines. Re-exports are followed to the definition
//! and do not count as imports. Test code is not checked. The analysis reads text: it knows paths that start with
//! `crate`, `self`, `super`, a child module or an imported module, but not what macros produce.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::shell::root;

/// A path of names from the crate's root, such as `["refs", "walk", "Walk"]`.
type Names = Vec<String>;
/// For each file, the files it imports, and one name that it takes from each.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// Maximum number of re-exports that are followed from a name to its definition.
const MAX_REEXPORTS: usize = 16;

/// A file with a module of the crate.
#[derive(Debug, Default)]
struct Module {
    file: String,
    text: String,
    defined: BTreeSet<String>,
    uses: Vec<Use>,
    /// Names of the child modules that are compiled for tests only.
    tests: BTreeSet<String>,
}

/// One name that a `use` item brings into a module. The last of `names` is `*` for a glob.
#[derive(Debug)]
struct Use {
    names: Names,
    alias: String,
    is_reexport: bool,
}

type Crate = BTreeMap<Names, Module>;

/// Adds a violation for each import cycle in the crate whose sources are in `folder`.
pub(crate) fn check(folder: &str, violations: &mut Vec<String>) -> Result<()> {
    let mut modules = Crate::new();
    read(&root().join(folder), folder, &Names::new(), &mut modules)?;
    let tests: Vec<Names> = modules
        .iter()
        .flat_map(|(names, module)| module.tests.iter().map(|test| child(names, test)))
        .collect();
    modules.retain(|names, _| !tests.iter().any(|test| names.starts_with(test)));
    for cycle in cycles(&imports(&modules)) {
        violations.push(format!("import cycle: {}", cycle.join(" -> ")));
    }
    Ok(())
}

/// Reads the modules of a folder.
fn read(folder: &Path, shown: &str, parent: &Names, modules: &mut Crate) -> Result<()> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("failed to read {shown}"))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = format!("{shown}/{name}");
        if entry.path().is_dir() {
            if !["bin", "tests"].contains(&name.as_str()) {
                read(&entry.path(), &file, &child(parent, &name), modules)?;
            }
            continue;
        }
        let names = match name.strip_suffix(".rs") {
            None | Some("main" | "tests" | "generated") => continue,
            Some(tests) if tests.ends_with("_tests") => continue,
            Some("lib" | "mod") => parent.clone(),
            Some(module) => child(parent, module),
        };
        let text = std::fs::read_to_string(entry.path())?;
        modules.insert(names, module(file, &text));
    }
    Ok(())
}

fn child(parent: &Names, name: &str) -> Names {
    let mut names = parent.clone();
    names.push(name.to_owned());
    names
}

fn module(file: String, text: &str) -> Module {
    let text = without_tests_and_comments(text);
    let mut module = Module {
        file,
        ..Module::default()
    };
    let mut rest = String::new();
    let mut is_for_tests = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (is_public, item) = without_visibility(line.trim_start());
        if let Some(name) = item.strip_prefix("mod ").filter(|_| is_for_tests) {
            module.tests.insert(name.trim_end_matches(';').to_owned());
        }
        // Other attributes may stand between `#[cfg(test)]` and the item.
        if item.starts_with("#[cfg(") {
            is_for_tests = item.contains("test") && !item.contains("not(test");
        } else if !item.starts_with("#[") {
            is_for_tests = false;
        }
        let Some(tree) = item.strip_prefix("use ") else {
            module.defined.extend(defined(item));
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            let Some(line) = lines.next() else { break };
            tree.push_str(line);
        }
        let tree = tree.split(';').next().unwrap_or_default();
        expand(&Names::new(), tree, is_public, &mut module.uses);
    }
    module.text = rest;
    module
}

/// Removes comments, and the inline module of tests, which is the last item of a file.
fn without_tests_and_comments(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let code = text.lines().map(|line| match line.find("//") {
        Some(at) if !line[..at].contains('"') => &line[..at],
        _ => line,
    });
    code.collect::<Vec<_>>().join("\n")
}

/// Splits the visibility from an item. Returns whether there was one.
fn without_visibility(item: &str) -> (bool, &str) {
    let Some(rest) = item.strip_prefix("pub") else {
        return (false, item);
    };
    let rest = match rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
        Some((_, rest)) => rest,
        None => rest,
    };
    match rest.strip_prefix(' ') {
        Some(rest) => (true, rest),
        None => (false, item),
    }
}

/// Returns the name that an item defines.
fn defined(item: &str) -> Option<String> {
    let mut words = item.split(|c: char| !c.is_alphanumeric() && c != '_');
    loop {
        match words.next()? {
            "async" | "unsafe" | "auto" => {}
            "const" => {
                let name = words.next().filter(|name| *name != "fn");
                return name.or_else(|| words.next()).map(str::to_owned);
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "static" | "union" => {
                return words.next().map(str::to_owned);
            }
            _ => return None,
        }
    }
}

/// Expands the tree of a `use` item.
fn expand(prefix: &Names, tree: &str, is_reexport: bool, uses: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((head, inner)) = tree.split_once('{') {
        let mut prefix = prefix.clone();
        prefix.extend(segments(head));
        let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
        for part in top_level_parts(inner) {
            expand(&prefix, part, is_reexport, uses);
        }
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim().to_owned())),
        None => (tree, None),
    };
    let mut names = prefix.clone();
    names.extend(segments(path));
    if names.len() > 1 && names.last().is_some_and(|name| name == "self") {
        names.pop();
    }
    let Some(last) = names.last().cloned() else {
        return;
    };
    uses.push(Use {
        names,
        alias: alias.unwrap_or(last),
        is_reexport,
    });
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::")
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// Splits at the commas that are outside of braces.
fn top_level_parts(list: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    list.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

fn imports(modules: &Crate) -> Imports {
    let mut imports = Imports::new();
    for (at, module) in modules {
        let targets = imports.entry(module.file.clone()).or_default();
        let imported = module.uses.iter().filter(|u| !u.is_reexport);
        let paths = imported.map(|u| u.names.clone()).chain(paths(&module.text));
        for path in paths {
            let Some(names) = absolute(modules, at, &path) else {
                continue;
            };
            let Some(definer) = definition(modules, &names, MAX_REEXPORTS) else {
                continue;
            };
            if definer == at {
                continue;
            }
            targets.insert(modules[definer].file.clone(), names.join("::"));
        }
    }
    imports
}

/// Returns the paths in `text` that have at least two names.
fn paths(text: &str) -> impl Iterator<Item = Names> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .filter(|path| path.contains("::"))
        .map(|path| segments(path).collect())
}

/// Returns the absolute form of a path that occurs in the module `at`, or `None` for paths into other crates.
fn absolute(modules: &Crate, at: &Names, path: &[String]) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    let mut names = match first.as_str() {
        "crate" => Names::new(),
        "self" => at.clone(),
        "super" => at.split_last()?.1.to_vec(),
        name if modules.contains_key(&child(at, name)) => child(at, name),
        name => {
            let module = modules.get(at)?;
            let alias = module.uses.iter().find(|u| u.alias == name)?;
            if alias.names.first().is_some_and(|n| n == name) {
                return None;
            }
            absolute(modules, at, &alias.names)?
        }
    };
    for name in rest {
        match name.as_str() {
            "super" => {
                names.pop();
            }
            name => names.push(name.to_owned()),
        }
    }
    Some(names)
}

/// Returns the module that defines what an absolute path names, or `None` if the path names a module or something
/// unknown.
fn definition<'a>(modules: &'a Crate, names: &Names, reexports_left: usize) -> Option<&'a Names> {
    let length = (0..=names.len())
        .rev()
        .find(|length| modules.contains_key(&names[..*length]))?;
    let (at, rest) = names.split_at(length);
    let name = rest.first()?;
    let (at, module) = modules.get_key_value(at)?;
    if module.defined.contains(name) {
        return Some(at);
    }
    let reexports_left = reexports_left.checked_sub(1)?;
    module.uses.iter().find_map(|u| {
        let mut names = absolute(modules, at, &u.names)?;
        if names.last().is_some_and(|last| last == "*") {
            names.pop();
            names.push(name.clone());
        } else if u.alias != *name {
            return None;
        }
        definition(modules, &names, reexports_left)
    })
}

/// Returns one cycle for each set of files that import each other, directly or indirectly: the shortest one through
/// the first file of the set.
fn cycles(imports: &Imports) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in imports.keys() {
        if seen.contains(file) {
            continue;
        }
        if let Some(cycle) = shortest_cycle(imports, file) {
            let reached = reachable(imports, file);
            let both = reached
                .into_iter()
                .filter(|other| reachable(imports, other).contains(file));
            seen.extend(both);
            found.push(cycle);
        }
    }
    found
}

fn reachable(imports: &Imports, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut left = vec![from.to_owned()];
    while let Some(file) = left.pop() {
        for target in imports.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(target.clone()) {
                left.push(target.clone());
            }
        }
    }
    reached
}

/// Returns the files on the shortest way from a file back to itself, each with what it imports from the next.
fn shortest_cycle(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let file = way.last()?;
        for target in imports.get(file)?.keys() {
            if target == start {
                return Some(described(imports, &way, start));
            }
            if seen.insert(target.clone()) {
                let mut longer = way.clone();
                longer.push(target.clone());
                ways.push_back(longer);
            }
        }
    }
    None
}

fn described(imports: &Imports, way: &[String], start: &str) -> Vec<String> {
    let next = way.iter().skip(1).map(String::as_str).chain([start]);
    let mut shown: Vec<String> = way
        .iter()
        .zip(next)
        .map(|(file, next)| format!("{file} (uses {})", imports[file][next]))
        .collect();
    shown.push(start.to_owned());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let modules = files
            .iter()
            .map(|(names, text)| {
                let names: Names = segments(names).collect();
                (
                    names.clone(),
                    module(format!("{}.rs", names.join("/")), text),
                )
            })
            .collect();
        cycles(&imports(&modules))
    }

    #[test]
    fn two_files_that_import_each_other_form_a_cycle() {
        let cycles = found(&[
            ("", "mod a;\nmod b;\n"),
            ("a", "use crate::b::B;\npub(crate) struct A;\n"),
            ("b", "pub(crate) struct B(super::a::A);\n"),
        ]);
        assert_eq!(cycles, [["a.rs (uses b::B)", "b.rs (uses a::A)", "a.rs"]]);
    }

    #[test]
    fn reexports_are_followed_and_are_no_imports() {
        let cycles = found(&[
            (
                "",
                "mod a;\nmod b;\npub use a::{A, Other as Renamed};\npub use b::*;\n",
            ),
            (
                "a",
                "use crate::{\n    B,\n};\npub struct A;\npub struct Other;\n",
            ),
            ("b", "use crate::Renamed;\npub struct B;\n"),
        ]);
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0], ["a.rs (uses B)", "b.rs (uses Renamed)", "a.rs"]);
    }

    #[test]
    fn imported_modules_are_followed_to_what_is_used_of_them() {
        let cycles = found(&[
            ("", "mod a;\nmod b;\n"),
            ("a", "use crate::b;\nfn a() { b::helper(); }\n"),
            ("b", "pub fn helper() { crate::a::a(); }\n"),
        ]);
        assert_eq!(cycles.len(), 1);
    }

    #[test]
    fn parent_and_child_form_a_cycle() {
        let cycles = found(&[
            ("", "mod a;\n"),
            ("a", "mod b;\nfn a() { b::b(); }\npub(crate) struct A;\n"),
            ("a::b", "pub(super) fn b() -> super::A {}\n"),
        ]);
        assert_eq!(
            cycles,
            [["a.rs (uses a::b::b)", "a/b.rs (uses a::A)", "a.rs"]]
        );
    }

    #[test]
    fn parents_that_only_reexport_and_tests_form_no_cycle() {
        let cycles = found(&[
            ("", "mod a;\npub use a::A;\npub struct Error;\n"),
            (
                "a",
                "use crate::Error;\npub struct A(Error);\n// crate::c::C\n#[cfg(test)]\nmod tests {\n    use crate::c::C;\n}\n",
            ),
            ("c", "use crate::a::A;\npub struct C(A);\n"),
        ]);
        assert_eq!(cycles, Vec::<Vec<String>>::new());
    }

    #[test]
    fn only_modules_compiled_for_tests_are_left_out() {
        let of = |text: &str| module(String::new(), text).tests;
        assert_eq!(of("#[cfg(test)]\n#[path = \"x.rs\"]\nmod x;\n").len(), 1);
        assert_eq!(
            of("#[cfg(any(test, feature = \"testing\"))]\npub mod x;\n").len(),
            1
        );
        assert!(of("#[cfg(not(test))]\nmod x;\n").is_empty());
        assert!(of("#[cfg(test)]\nuse a::B;\nmod x;\n").is_empty());
    }
}
