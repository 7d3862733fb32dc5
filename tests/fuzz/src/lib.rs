//! All parsers of untrusted or stored text and bytes, by name. `cargo xtask fuzz` fuzzes them, and
//! the replay test runs them on all saved inputs.
//!
//! Each target has a folder with its name in `corpus/`, which also has an input for every crash
//! found so far. Invariant: a parser returns on any input, with a small stack and little memory.

/// Stack size of the thread that reads the configuration.
const MAIN_STACK_BYTES: usize = 4 << 20;

/// A parser with the name of its corpus folder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name for `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// Parses arbitrary bytes. Panics on a bug.
    pub run: fn(&[u8]),
}

impl Target {
    /// Runs the parser on a thread with a small stack, so that unbounded recursion ends the
    /// process.
    pub fn try_input(&self, input: &[u8]) {
        base::testing::on_small_stack(|| (self.run)(input));
    }
}

/// All targets, sorted by name.
pub const TARGETS: &[Target] = &[
    target("action_file", actions::fuzzing::action_file),
    target("address", block::fuzzing::address),
    target("api_form", api::fuzzing::form),
    target("api_head", api::fuzzing::head),
    target("api_json", api::fuzzing::json),
    target("api_json_values", api::fuzzing::json_values),
    target("api_site", api::fuzzing::site),
    target("branch_globs", actions::fuzzing::branch_globs),
    target("catalog_record", catalog::fuzzing::record),
    target("compile_answer", actions::fuzzing::compile_answer),
    target("component", actions::fuzzing::component),
    target("component_nesting", actions::fuzzing::component_nesting),
    target("condition", actions::fuzzing::condition),
    target("configuration", configuration),
    target("connection_string", kv::fuzzing::connection_string),
    target("continuation", catalog::fuzzing::continuation),
    target("dag_run", actions::fuzzing::dag_run),
    target("description", actions::fuzzing::description),
    target("event", graveler::fuzzing::event),
    target("hook_config", actions::fuzzing::hook_config),
    target("parquet", parquet),
    target("path_globs", actions::fuzzing::path_globs),
    target("protection", graveler::fuzzing::protection),
    target("record", graveler::fuzzing::record),
    target("reference", graveler::fuzzing::reference),
    target("run_marks", actions::fuzzing::run_marks),
    target("run_record", actions::fuzzing::record),
    target("s3_chunks", gateway::fuzzing::chunks),
    target("s3_document", gateway::fuzzing::document),
    target("s3_head", gateway::fuzzing::head),
    target("session", auth::fuzzing::session),
    target("sstable", graveler::fuzzing::sstable),
    target("sstable_block", graveler::fuzzing::sstable_block),
    target("upload_file", block::fuzzing::upload_file),
    target("webhook_answer", actions::fuzzing::webhook_answer),
    target("webhook_target", actions::fuzzing::webhook_target),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Returns the target with a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Parses a configuration file. Its parser stops at 128 levels, which need a megabyte of stack in
/// debug builds. The server's thread has a larger stack.
fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = || {
        drop(app::config::Config::from_yaml(
            text,
            &app::config::Overrides::default(),
        ));
    };
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .stack_size(MAIN_STACK_BYTES)
            .spawn_scoped(threads, read)
            .expect("failed to start a thread")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Parses a Parquet file's footer, as hooks do.
fn parquet(data: &[u8]) {
    if let Ok(file) = hooks_sdk::Object::from_bytes("fuzz.parquet", data.to_vec()).parquet() {
        let columns = file.columns();
        let nulls = columns.iter().take(3).map(|c| file.nulls(&c.name));
        std::hint::black_box((nulls.collect::<Vec<_>>(), file.rows()));
    }
}
