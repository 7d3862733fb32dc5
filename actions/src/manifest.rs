//! Files that a run stores in the repository's storage namespace, in lakeFS's layout: one log per
//! hook, and `run.manifest`.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::run::{HookRun, HookStatus, Run};

/// Key of a run's manifest, relative to the folder `_lakefs` of the storage namespace.
pub(crate) fn manifest_key(run_id: &str) -> String {
    format!("actions/log/{run_id}/run.manifest")
}

/// Key of a hook's log, relative to the folder `_lakefs` of the storage namespace.
pub(crate) fn log_key(run_id: &str, hook_run_id: &str) -> String {
    format!("actions/log/{run_id}/{hook_run_id}.log")
}

#[derive(Debug, Serialize)]
struct Manifest {
    run: RunEntry,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<HookEntry>,
}

#[derive(Debug, Serialize)]
struct RunEntry {
    run_id: String,
    branch_id: String,
    source_ref: String,
    event_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    commit_id: String,
    start_time: String,
    end_time: String,
    passed: bool,
}

#[derive(Debug, Serialize)]
struct HookEntry {
    run_id: String,
    hook_run_id: String,
    hook_id: String,
    action_name: String,
    start_time: String,
    end_time: String,
    passed: bool,
}

/// Returns the manifest of a run as JSON.
pub(crate) fn manifest(run: &Run, hooks: &[HookRun]) -> Vec<u8> {
    let rfc3339 = |at: base::OffsetDateTime| {
        at.to_offset(time::UtcOffset::UTC)
            .format(&Rfc3339)
            .expect("years 1 to 9999 can be formatted")
    };
    let manifest = Manifest {
        run: RunEntry {
            run_id: run.run_id.clone(),
            branch_id: run.branch_id.clone(),
            source_ref: run.source_ref.clone(),
            event_type: run.event_type.clone(),
            commit_id: run.commit_id.clone(),
            start_time: rfc3339(run.start_time),
            end_time: rfc3339(run.end_time),
            passed: run.passed,
        },
        hooks: hooks
            .iter()
            .map(|hook| HookEntry {
                run_id: run.run_id.clone(),
                hook_run_id: hook.hook_run_id.clone(),
                hook_id: hook.hook_id.clone(),
                action_name: hook.action_name.clone(),
                start_time: rfc3339(hook.start_time),
                end_time: rfc3339(hook.end_time),
                passed: hook.status == HookStatus::Completed,
            })
            .collect(),
    };
    serde_json::to_vec(&manifest).expect("strings and booleans are JSON")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::run::NEVER;

    #[test]
    fn manifest_has_lakefs_fields_and_times() {
        let run = Run {
            run_id: "4oojt2hksdudq1pb8vkg".to_owned(),
            branch_id: "acted".to_owned(),
            commit_id: "1f24".to_owned(),
            source_ref: "acted".to_owned(),
            event_type: "pre-commit".to_owned(),
            start_time: datetime!(2026-11-22 21:24:06.680868927 UTC),
            end_time: datetime!(2026-11-22 21:24:06.68 UTC),
            passed: true,
            warnings: Vec::new(),
        };
        let hook = |id: &str, status, at| HookRun {
            hook_run_id: id.to_owned(),
            hook_id: "says_hello".to_owned(),
            action_name: "museum action".to_owned(),
            start_time: at,
            end_time: at,
            status,
        };
        let hooks = [
            hook("0000_0000", HookStatus::Completed, run.start_time),
            hook("0000_0001", HookStatus::Skipped, NEVER),
        ];
        assert_eq!(
            String::from_utf8_lossy(&manifest(&run, &hooks)),
            r#"{"run":{"run_id":"4oojt2hksdudq1pb8vkg","branch_id":"acted","source_ref":"acted","event_type":"pre-commit","commit_id":"1f24","start_time":"2026-11-22T21:24:06.680868927Z","end_time":"2026-11-22T21:24:06.68Z","passed":true},"hooks":[{"run_id":"4oojt2hksdudq1pb8vkg","hook_run_id":"0000_0000","hook_id":"says_hello","action_name":"museum action","start_time":"2026-11-22T21:24:06.680868927Z","end_time":"2026-11-22T21:24:06.680868927Z","passed":true},{"run_id":"4oojt2hksdudq1pb8vkg","hook_run_id":"0000_0001","hook_id":"says_hello","action_name":"museum action","start_time":"0001-01-01T00:00:00Z","end_time":"0001-01-01T00:00:00Z","passed":false}]}"#
        );
        let refused = Run {
            commit_id: String::new(),
            ..run
        };
        assert!(!String::from_utf8_lossy(&manifest(&refused, &[])).contains("commit_id"));
    }
}
