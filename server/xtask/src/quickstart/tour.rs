//! The quickstart's tour: a repository whose `main` is guarded by a Wasm hook, a merge that is refused, one that lands.
//!
//! Can be run again and again against one server: each time with another branch and the file of another month.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::http::{Method, StatusCode};

use super::rest::{Answer, Rest};
use crate::shell::say;

pub(super) const REPOSITORY: &str = "quickstart";
/// Tours of one server.
const MAX_TOURS: u32 = 1000;
/// Runs among which that of the refusal is looked for: it is one of the newest.
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

/// The run of the gate that refused the merge.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) run_id: String,
    pub(super) hook_run_id: String,
}

/// The whole tour: `components` is the folder with built hooks, `samples` the one with Parquet files.
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
    server.make_repository()?;
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
        "the merge should have been refused, but answered {status}: {answer}"
    );
    say(&format!("   {status}"));
    show_findings(&answer);
    ensure!(
        server.head("main")? == before,
        "main moved although its gate refused"
    );
    say("   main has not moved");
    let refused = server.refused_run()?;

    say("4. Repaired, it lands:");
    server.upload(&branch, &path, good)?;
    server.commit(&branch, "flights of another month, as numbers")?;
    let (status, answer) = server.merge(&branch)?;
    ensure!(
        status.is_success(),
        "the repaired load should merge, but answered {status}: {answer}"
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

/// The file of a month, counted from January 2013.
fn month(number: u32) -> String {
    format!(
        "tables/flights/{}-{:02}.parquet",
        2013 + number / 12,
        1 + number % 12
    )
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))
}

/// The tour's calls to the repository.
struct Tour<'a> {
    rest: &'a Rest,
}

impl Tour<'_> {
    fn make_repository(&self) -> Result<()> {
        let body = json!({ "name": REPOSITORY, "storage_namespace": format!("local://{REPOSITORY}"), "default_branch": "main", "sample_data": true });
        let (status, answer) = self.rest.ask(Method::POST, "/repositories", Some(&body))?;
        ensure!(
            status.is_success() || status == StatusCode::CONFLICT,
            "the repository was not made: {status}: {answer}"
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
        self.rest.must(&Method::POST, &path, Some(&body))?;
        Ok(())
    }

    /// A branch that no earlier tour on this server made, and its number.
    fn new_branch(&self) -> Result<(String, u32)> {
        let path = format!("/repositories/{REPOSITORY}/branches");
        for number in 1..=MAX_TOURS {
            let name = format!("load-{number}");
            let body = json!({ "name": name, "source": "main" });
            let (status, answer) = self.rest.ask(Method::POST, &path, Some(&body))?;
            match status {
                StatusCode::CONFLICT => {}
                s if s.is_success() => return Ok((name, number)),
                s => bail!("branch {name} was not made: {s}: {answer}"),
            }
        }
        bail!("this server had {MAX_TOURS} tours: begin with an empty folder (--data FOLDER)")
    }

    fn merge(&self, source: &str) -> Result<Answer> {
        let path = format!("/repositories/{REPOSITORY}/refs/{source}/merge/main");
        self.rest.ask(Method::POST, &path, Some(&json!({})))
    }

    fn head(&self, branch: &str) -> Result<String> {
        let path = format!("/repositories/{REPOSITORY}/branches/{branch}");
        let answer = self.rest.must(&Method::GET, &path, None)?;
        text(&answer, "commit_id")
    }

    /// The newest run that failed, and its hook.
    fn refused_run(&self) -> Result<Refused> {
        let runs = format!("/repositories/{REPOSITORY}/actions/runs");
        let page = self
            .rest
            .must(&Method::GET, &format!("{runs}?amount={RUNS}"), None)?;
        let run = page["results"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|r| r["status"] == "failed")
            .context("the run of the gate that refused is not listed")?;
        let run_id = text(run, "run_id")?;
        let hooks = self
            .rest
            .must(&Method::GET, &format!("{runs}/{run_id}/hooks"), None)?;
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
        .with_context(|| format!("an answer without {name}: {value}"))?
        .to_owned())
}
