//! The properties of `type: airflow`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lua_properties::map;
use super::suspicious::{warn, warn_unknown_keys};
use super::webhook_properties::{Target, WHOLE_URL, read_target, read_timeout};
use super::yaml::{Diagnostic, Node};

pub(super) const KEYS: [&str; 7] = [
    "url",
    "dag_id",
    "username",
    "password",
    "dag_conf",
    "wait_for_dag",
    "timeout",
];
/// Maximum length of a URL and of a DAG name, in bytes.
const MAX_URL_BYTES: usize = 8 << 10;
/// Maximum length of the user name and of the password, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 4 << 10;

/// The DAG to run. Variables in the password are not yet expanded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AirflowProperties {
    /// Endpoint that creates runs of the DAG: `URL/api/v1/dags/ID/dagRuns`.
    pub(crate) runs: Target,
    /// The same URL in the form that logs may show.
    pub(crate) shown_runs: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Configuration of the DAG run, in addition to the event. Sorted by name.
    pub(crate) dag_conf: BTreeMap<String, serde_json::Value>,
    /// If true, the hook waits for the DAG run and fails if the run fails.
    pub(crate) wait_for_dag: bool,
    /// How long the hook waits for the DAG run.
    pub(crate) timeout: Duration,
}

impl std::fmt::Debug for AirflowProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AirflowProperties")
            .field("runs", &self.shown_runs)
            .finish_non_exhaustive()
    }
}

impl AirflowProperties {
    pub(super) fn read(node: &Node, warnings: &mut Vec<Diagnostic>) -> Result<Self, Diagnostic> {
        warn_unknown_keys("properties.", node, &KEYS, warnings);
        let [url, dag_id, username, password] =
            ["url", "dag_id", "username", "password"].map(|name| text(name, node));
        let ((url, url_node), (dag_id, dag_node)) = (url?, dag_id?);
        let ((username, name_node), (password, password_node)) = (username?, password?);
        for (name, text, node, most) in [
            ("url", url, url_node, MAX_URL_BYTES),
            ("dag_id", dag_id, dag_node, MAX_URL_BYTES),
            ("username", username, name_node, MAX_CREDENTIAL_BYTES),
            ("password", password, password_node, MAX_CREDENTIAL_BYTES),
        ] {
            if text.len() > most {
                let reason = format!("'{name}' is longer than {most} bytes");
                return Err(Diagnostic::new(node.at, reason));
            }
        }
        let dag_conf = map("dag_conf", node)?
            .and_then(Node::map)
            .unwrap_or_default();
        let conf = |(key, value): &(super::yaml::Key, Node)| (key.text.clone(), value.to_json());
        let dag_conf = dag_conf.iter().map(conf).collect();
        let (runs, shown_runs) = match read_target(url) {
            (Target::Url(url), _) => match dag_runs(url, dag_id) {
                Ok(runs) => {
                    let shown = runs.to_string();
                    (Target::Url(runs), shown)
                }
                Err(why) => {
                    let quoted = base::glob::quoted(dag_id);
                    let reason = format!("'dag_id' '{quoted}' cannot be called: {why}");
                    warn(warnings, Diagnostic::new(dag_node.at, reason));
                    (Target::Unusable(why.to_owned()), "(malformed)".to_owned())
                }
            },
            (Target::Unusable(why), shown) => {
                let reason = format!("'url' '{shown}' cannot be called: {why}; {WHOLE_URL}");
                warn(warnings, Diagnostic::new(url_node.at, reason));
                (Target::Unusable(why), shown)
            }
        };
        Ok(Self {
            runs,
            shown_runs,
            username: username.to_owned(),
            password: password.to_owned(),
            dag_conf,
            wait_for_dag: read_wait(node, warnings),
            timeout: read_timeout(node, warnings)?,
        })
    }
}

/// Reads a required string.
fn text<'a>(name: &str, node: &'a Node) -> Result<(&'a str, &'a Node), Diagnostic> {
    let Some(value) = node.get(name) else {
        return Err(Diagnostic::new(node.at, format!("'{name}' is required")));
    };
    match value.string() {
        None => Err(Diagnostic::new(
            value.at,
            format!("'{name}' must be a string"),
        )),
        Some("") => Err(Diagnostic::new(value.at, format!("'{name}' is empty"))),
        Some(text) => Ok((text, value)),
    }
}

/// Returns the URL of a DAG's runs. The DAG's name becomes exactly one path segment, whatever
/// characters it contains.
fn dag_runs(mut url: url::Url, dag_id: &str) -> Result<url::Url, &'static str> {
    // These names cannot be expressed as a path segment.
    if matches!(dag_id, "." | "..") || dag_id.contains(char::is_control) {
        return Err("no DAG has this name");
    }
    // Credentials come from the properties, not from the URL.
    let without_user = url.set_username("").and_then(|()| url.set_password(None));
    url.set_fragment(None);
    match (without_user, url.path_segments_mut()) {
        (Ok(()), Ok(mut path)) => {
            path.pop_if_empty()
                .extend(["api", "v1", "dags", dag_id, "dagRuns"]);
        }
        _ => return Err("the URL has no path"),
    }
    Ok(url)
}

/// Reads `wait_for_dag`. lakeFS accepts only a boolean. The string `true` is accepted here as well,
/// because a gate that does not wait would let every change through.
fn read_wait(node: &Node, warnings: &mut Vec<Diagnostic>) -> bool {
    let Some(value) = node.get("wait_for_dag") else {
        return false;
    };
    match value.text() {
        Some(text) if value.string().is_none() && text.eq_ignore_ascii_case("true") => true,
        Some(text) if value.string().is_none() && text.eq_ignore_ascii_case("false") => false,
        given => {
            let waits = given == Some("true");
            let taken = if waits {
                "treated as true"
            } else {
                "ignored, so the hook does not wait"
            };
            let reason =
                format!("'wait_for_dag' is not a boolean and is {taken}; write true or false");
            warn(warnings, Diagnostic::new(value.at, reason));
            waits
        }
    }
}
