//! The quickstart's tour: a repository whose `main` is guarded by a Wasm hook, a merge that is refused, one that lands.
//!
//! `tour URL COMPONENTS PARQUET KEYS`: the server, the folder with built hooks, the folder with sample
//! files, the file that the server keeps its keys in. Can be run again and again against one server.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

const REPOSITORY: &str = "quickstart";
/// A first start in a debug build on a slow disk.
const START_TIMEOUT: Duration = Duration::from_secs(60);

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

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, components, parquet, keys] = arguments.as_slice() else {
        bail!("usage: tour URL COMPONENTS PARQUET KEYS");
    };
    let mut server = Server {
        url: url.trim_end_matches('/').to_owned(),
        http: Client::new(),
        keys: Keys::default(),
    };
    server.wait().await?;
    server.keys = Keys::read(Path::new(keys))?;
    let guard = read(Path::new(components), "parquet_guard.wasm")?;
    let file = |name: &str| read(Path::new(parquet), name);

    say(
        "1. A repository, and a gate on its branch main (_lakefs_actions/flights.yaml, hooks/parquet_guard.wasm)",
    );
    server.make_repository().await?;
    server
        .upload("main", "hooks/parquet_guard.wasm", guard)
        .await?;
    server
        .upload(
            "main",
            "_lakefs_actions/flights.yaml",
            ACTION.as_bytes().to_vec(),
        )
        .await?;
    server
        .upload(
            "main",
            "tables/flights/2013-01.parquet",
            file("good.parquet")?,
        )
        .await?;
    server
        .commit("main", "flights of January, and the gate")
        .await?;
    let before = server.head("main").await?;

    let branch = format!("load-{}", &server.unique()?);
    say(&format!("2. A branch for the next load: {branch}"));
    server.branch(&branch).await?;
    let path = "tables/flights/2013-02.parquet";

    say("3. A load whose dep_delay became a string is committed there, and refused by main:");
    server
        .upload(&branch, path, file("retyped.parquet")?)
        .await?;
    server.commit(&branch, "flights of February").await?;
    let (status, answer) = server.merge(&branch).await?;
    ensure!(
        status == StatusCode::PRECONDITION_FAILED,
        "the merge should have been refused, but answered {status}: {answer}"
    );
    say(&format!("   {status}"));
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
    ensure!(
        server.head("main").await? == before,
        "main moved although its gate refused"
    );
    say("   main has not moved");

    say("4. Repaired, it lands:");
    server.upload(&branch, path, file("good.parquet")?).await?;
    server
        .commit(&branch, "flights of February, as numbers")
        .await?;
    let (status, answer) = server.merge(&branch).await?;
    ensure!(
        status.is_success(),
        "the repaired load should merge, but answered {status}: {answer}"
    );
    let head = server.head("main").await?;
    ensure!(head != before, "main did not move");
    say(&format!("   {status}: main is at {}", &head[..12]));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn say(text: &str) {
    println!("{text}");
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))
}

/// The administrator's access key and its secret.
#[derive(Default, Deserialize)]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
}

impl Keys {
    /// Reads the file, which a server has written by the time it answers.
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| {
            format!(
                "can't read the keys in {0}: if the installation there was set up by an earlier version, remove {1} to begin anew",
                path.display(),
                path.parent().unwrap_or(path).display()
            )
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} does not hold keys", path.display()))
    }
}

/// The server under tour.
struct Server {
    url: String,
    http: Client,
    keys: Keys,
}

impl Server {
    async fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            match self.http.get(format!("{}/_health", self.url)).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                other if Instant::now() > deadline => {
                    bail!("the server is not ready after {START_TIMEOUT:?}: {other:?}")
                }
                _ => {}
            }
        }
    }

    /// A name that no earlier tour on this server took.
    fn unique(&self) -> Result<String> {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .context("the clock stands before 1970")?;
        Ok(format!("{:x}", now.as_millis()))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url))
            .basic_auth(&self.keys.access_key_id, Some(&self.keys.secret_access_key));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("can't reach {}", self.url))?;
        let status = answer.status();
        let text = answer.text().await.context("the answer broke off")?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    async fn expect(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        fine: &[StatusCode],
    ) -> Result<Value> {
        let (status, answer) = self.call(method.clone(), path, body).await?;
        ensure!(
            status.is_success() || fine.contains(&status),
            "{method} {path} answered {status}: {answer}"
        );
        Ok(answer)
    }

    async fn make_repository(&self) -> Result<()> {
        let body = json!({ "name": REPOSITORY, "storage_namespace": format!("local://{REPOSITORY}"), "default_branch": "main", "sample_data": true });
        self.expect(
            Method::POST,
            "/repositories",
            Some(body),
            &[StatusCode::CONFLICT],
        )
        .await?;
        Ok(())
    }

    async fn upload(&self, branch: &str, path: &str, bytes: Vec<u8>) -> Result<()> {
        let url = format!(
            "{}/api/v1/repositories/{REPOSITORY}/branches/{branch}/objects",
            self.url
        );
        let request = self
            .http
            .post(url)
            .query(&[("path", path)])
            .basic_auth(&self.keys.access_key_id, Some(&self.keys.secret_access_key));
        let answer = request
            .header("content-type", "application/octet-stream")
            .body(bytes)
            .send()
            .await?;
        ensure!(
            answer.status().is_success(),
            "upload of {path} answered {}",
            answer.status()
        );
        Ok(())
    }

    async fn commit(&self, branch: &str, message: &str) -> Result<()> {
        let body = json!({ "message": message, "allow_empty": true });
        self.expect(
            Method::POST,
            &format!("/repositories/{REPOSITORY}/branches/{branch}/commits"),
            Some(body),
            &[],
        )
        .await?;
        Ok(())
    }

    async fn branch(&self, name: &str) -> Result<()> {
        let body = json!({ "name": name, "source": "main" });
        self.expect(
            Method::POST,
            &format!("/repositories/{REPOSITORY}/branches"),
            Some(body),
            &[],
        )
        .await?;
        Ok(())
    }

    async fn merge(&self, source: &str) -> Result<(StatusCode, Value)> {
        self.call(
            Method::POST,
            &format!("/repositories/{REPOSITORY}/refs/{source}/merge/main"),
            Some(json!({})),
        )
        .await
    }

    async fn head(&self, branch: &str) -> Result<String> {
        let answer = self
            .expect(
                Method::GET,
                &format!("/repositories/{REPOSITORY}/branches/{branch}"),
                None,
                &[],
            )
            .await?;
        Ok(answer["commit_id"]
            .as_str()
            .context("a branch without commit_id")?
            .to_owned())
    }
}
