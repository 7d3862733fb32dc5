//! The quickstart's tour: creates a repository with a Wasm hook that guards `main`, and shows a merge that the hook
//! rejects and a merge that succeeds.
//!
//! The tour can be repeated on the same server. Each run uses another branch and the file of another month.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::http::{Method, StatusCode};

use super::rest::{Answer, Rest};
use crate::shell::say;

pub(super) const REPOSITORY: &str = "quickstart";
/// Maximum number of tours on one server.
const MAX_TOURS: u32 = 1000;
/// Number of recent hook runs among which the rejected run is searched.
const RUNS: u32 = 100;

const ACTION: &str = "\
name: flights gate
description: flights keep their columns and types
on:
  pre-merge:
    branches: [main]
hooks:
  - id: parquet_guard
    type: wasm
    description: required columns, no retyped or dropped ones
    properties:
      component: hooks/parquet_guard.wasm
      config:
        required: [month, carrier, dep_delay]
      select:
        paths: ['tables/**/*.parquet']
";

/// The hook run that rejected the merge.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) run_id: String,
    pub(super) hook_run_id: String,
}

/// Runs the tour. `components` is the folder with built hooks, and `samples` the folder with Parquet files.
pub(super) fn run(rest: &Rest, components: &Path, samples: &Path) -> Result<Refused> {
    let server = Tour { rest };
    let guard = read(components, "parquet_guard.wasm")?;
    let (good, retyped) = (
        read(samples, "good.parquet")?,
        read(samples, "retyped.parquet")?,
    );

    say(
        "\n1. A repository, and a gate on its branch main (_lakefs_actions/flights.yaml, hooks/parquet_guard.wasm)",
    );
    server.create_repository()?;
    server.upload("main", "hooks/parquet_guard.wasm", guard)?;
    server.upload("main", "_lakefs_actions/flights.yaml", ACTION.into())?;
    server.upload("main", &month(0), good.clone())?;
    server.commit("main", "flights of the first month, and the gate")?;
    let before = server.head("main")?;

    let (branch, number) = server.new_branch()?;
    say(&format!("2. A branch for the next load: {branch}"));
    let path = month(number);

    say("3. A load whose dep_delay became a string is committed there, and refused by main:");
    server.upload(&branch, &path, retyped)?;
    server.commit(&branch, "flights of another month")?;
    let (status, answer) = server.merge(&branch)?;
    ensure!(
        status == StatusCode::PRECONDITION_FAILED,
        "the merge should have been rejected, but the response is {status}: {answer}"
    );
    say(&format!("   {status}"));
    show_findings(&answer);
    ensure!(
        server.head("main")? == before,
        "main moved although its gate rejected the merge"
    );
    say("   main has not moved");
    let refused = server.refused_run()?;

    say("4. Repaired, it lands:");
    server.upload(&branch, &path, good)?;
    server.commit(&branch, "flights of another month, as numbers")?;
    let (status, answer) = server.merge(&branch)?;
    ensure!(
        status.is_success(),
        "the repaired load should merge, but the response is {status}: {answer}"
    );
    let head = server.head("main")?;
    ensure!(head != before, "main did not move");
    say(&format!(
        "   {status}: main is at {}",
        head.get(..12).unwrap_or(&head)
    ));
    Ok(refused)
}

fn show_findings(answer: &Value) {
    for finding in answer["findings"].as_array().into_iter().flatten() {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        say(&format!(
            "   {}: {}: {} ({})",
            text("path"),
            text("rule"),
            text("message"),
            text("hook")
        ));
    }
}

/// Returns the path of the file of a month. Month 0 is January 2013.
fn month(number: u32) -> String {
    format!(
        "tables/flights/{}-{:02}.parquet",
        2013 + number / 12,
        1 + number % 12
    )
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// The tour's calls to the repository.
struct Tour<'a> {
    rest: &'a Rest,
}

impl Tour<'_> {
    fn create_repository(&self) -> Result<()> {
        let body = json!({ "name": REPOSITORY, "storage_namespace": format!("local://{REPOSITORY}"), "default_branch": "main", "sample_data": true });
        let (status, answer) = self
            .rest
            .send_json(Method::POST, "/repositories", Some(&body))?;
        ensure!(
            status.is_success() || status == StatusCode::CONFLICT,
            "failed to create the repository: {status}: {answer}"
        );
        Ok(())
    }

    fn upload(&self, branch: &str, path: &str, bytes: Vec<u8>) -> Result<()> {
        self.rest.upload(
            &format!("/repositories/{REPOSITORY}/branches/{branch}/objects?path={path}"),
            bytes,
        )
    }

    fn commit(&self, branch: &str, message: &str) -> Result<()> {
        let body = json!({ "message": message, "allow_empty": true });
        let path = format!("/repositories/{REPOSITORY}/branches/{branch}/commits");
        self.rest
            .expect_success(&Method::POST, &path, Some(&body))?;
        Ok(())
    }

    /// Creates a branch with a name that no earlier tour has used. Returns its name and number.
    fn new_branch(&self) -> Result<(String, u32)> {
        let path = format!("/repositories/{REPOSITORY}/branches");
        for number in 1..=MAX_TOURS {
            let name = format!("load-{number}");
            let body = json!({ "name": name, "source": "main" });
            let (status, answer) = self.rest.send_json(Method::POST, &path, Some(&body))?;
            match status {
                StatusCode::CONFLICT => {}
                s if s.is_success() => return Ok((name, number)),
                s => bail!("failed to create branch {name}: {s}: {answer}"),
            }
        }
        bail!(
            "this server has already run {MAX_TOURS} tours: start with an empty folder (--data FOLDER)"
        )
    }

    fn merge(&self, source: &str) -> Result<Answer> {
        let path = format!("/repositories/{REPOSITORY}/refs/{source}/merge/main");
        self.rest.send_json(Method::POST, &path, Some(&json!({})))
    }

    fn head(&self, branch: &str) -> Result<String> {
        let path = format!("/repositories/{REPOSITORY}/branches/{branch}");
        let answer = self.rest.expect_success(&Method::GET, &path, None)?;
        text(&answer, "commit_id")
    }

    /// Returns the newest failed run and its hook run.
    fn refused_run(&self) -> Result<Refused> {
        let runs = format!("/repositories/{REPOSITORY}/actions/runs");
        let page =
            self.rest
                .expect_success(&Method::GET, &format!("{runs}?amount={RUNS}"), None)?;
        let run = page["results"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|r| r["status"] == "failed")
            .context("the rejected hook run is not listed")?;
        let run_id = text(run, "run_id")?;
        let hooks =
            self.rest
                .expect_success(&Method::GET, &format!("{runs}/{run_id}/hooks"), None)?;
        let hook_run_id = text(&hooks["results"][0], "hook_run_id")?;
        Ok(Refused {
            run_id,
            hook_run_id,
        })
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name]
        .as_str()
        .with_context(|| format!("the response has no {name}: {value}"))?
        .to_owned())
}
