//! The properties of `type: airflow`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lua_properties::map;
use super::suspicious::{warn, warn_unknown_keys};
use super::webhook_properties::{Target, WHOLE_URL, read_target, read_timeout};
use super::yaml::{Fault, Node};

const KEYS: [&str; 7] = [
    "url",
    "dag_id",
    "username",
    "password",
    "dag_conf",
    "wait_for_dag",
    "timeout",
];
/// The longest URL and the longest name of a DAG, in bytes.
const MAX_URL_BYTES: usize = 8 << 10;
/// The longest name and the longest password of a user, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 4 << 10;

/// Which DAG to run, with the variables of the password not yet put in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AirflowProperties {
    /// Where runs of the DAG are made: `URL/api/v1/dags/ID/dagRuns`.
    pub(crate) runs: Target,
    /// The same as logs show it.
    pub(crate) shown_runs: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// What the DAG is run with, beside the event; sorted by name.
    pub(crate) dag_conf: BTreeMap<String, serde_json::Value>,
    /// Whether the hook ends as the DAG's run does.
    pub(crate) wait_for_dag: bool,
    /// How long a run may take that is waited for.
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
    pub(super) fn read(node: &Node, warnings: &mut Vec<Fault>) -> Result<Self, Fault> {
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
                return Err(Fault::new(node.at, reason));
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
                    warn(warnings, Fault::new(dag_node.at, reason));
                    (Target::Unusable(why.to_owned()), "(malformed)".to_owned())
                }
            },
            (Target::Unusable(why), shown) => {
                let reason = format!("'url' '{shown}' cannot be called: {why}; {WHOLE_URL}");
                warn(warnings, Fault::new(url_node.at, reason));
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

/// A text that must be given.
fn text<'a>(name: &str, node: &'a Node) -> Result<(&'a str, &'a Node), Fault> {
    let Some(value) = node.get(name) else {
        return Err(Fault::new(node.at, format!("'{name}' is required")));
    };
    match value.string() {
        None => Err(Fault::new(value.at, format!("'{name}' must be text"))),
        Some("") => Err(Fault::new(value.at, format!("'{name}' is empty"))),
        Some(text) => Ok((text, value)),
    }
}

/// The URL of a DAG's runs, in which the DAG's name is one segment of the path whatever characters it has.
fn dag_runs(mut url: url::Url, dag_id: &str) -> Result<url::Url, &'static str> {
    // URLs have no way of writing these as a segment.
    if matches!(dag_id, "." | "..") || dag_id.contains(char::is_control) {
        return Err("no DAG has this name");
    }
    // The properties say who calls.
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

/// Whether to wait for the DAG. In lakeFS only a boolean counts; a text that says `true` is taken at its
/// word too, since a gate that waits for nothing lets everything through.
fn read_wait(node: &Node, warnings: &mut Vec<Fault>) -> bool {
    let Some(value) = node.get("wait_for_dag") else {
        return false;
    };
    match value.text() {
        Some(text) if value.string().is_none() && text.eq_ignore_ascii_case("true") => true,
        Some(text) if value.string().is_none() && text.eq_ignore_ascii_case("false") => false,
        given => {
            let waits = given == Some("true");
            let taken = if waits {
                "taken for true"
            } else {
                "ignored, so the hook does not wait"
            };
            let reason =
                format!("'wait_for_dag' is no boolean and is {taken}; write true or false");
            warn(warnings, Fault::new(value.at, reason));
            waits
        }
    }
}
