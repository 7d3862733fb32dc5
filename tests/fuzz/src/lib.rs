//! Every parser of text or bytes that others send or store, by name: what `cargo xtask fuzz` feeds, and what
//! the replay test feeds with all inputs that were kept.
//!
//! A target has a folder of its name in `corpus/`. What was once a crash has a file there as well.
//! The invariant: a parser returns, whatever its input, on a small stack and in little memory.

/// The stack of the thread that reads the configuration.
const MAIN_STACK_BYTES: usize = 4 << 20;

/// A parser, and the name of its folder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As in `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// Takes any bytes; returns nothing, or panics.
    pub run: fn(&[u8]),
}

impl Target {
    /// Runs the parser on a thread of a small stack, so that one that recurses without bound ends the process.
    pub fn try_input(&self, input: &[u8]) {
        base::testing::on_small_stack(|| (self.run)(input));
    }
}

/// All targets, in order of name.
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
    target("description", actions::fuzzing::description),
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
    target("webhook_answer", actions::fuzzing::webhook_answer),
    target("webhook_target", actions::fuzzing::webhook_target),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The configuration file. Its parser stops at 128 levels, which take a megabyte where nothing is optimized:
/// the thread that reads it has more.
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
            .expect("there is a thread to be had")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A Parquet file, as hooks read its footer.
fn parquet(data: &[u8]) {
    if let Ok(file) = hooks_sdk::Object::from_bytes("fuzz.parquet", data.to_vec()).parquet() {
        let columns = file.columns();
        let nulls = columns.iter().take(3).map(|c| file.nulls(&c.name));
        std::hint::black_box((nulls.collect::<Vec<_>>(), file.rows()));
    }
}
