//! The runners of all hook types, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::HookRunner;
use super::lua::LuaRunner;
use crate::action_file::Hook;

/// The runners of all hook types. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Runners {
    by_type: Arc<BTreeMap<&'static str, Arc<dyn HookRunner>>>,
}

impl Runners {
    /// Registers each runner for its type.
    pub(crate) fn new(runners: impl IntoIterator<Item = Arc<dyn HookRunner>>) -> Self {
        let by_type = runners
            .into_iter()
            .map(|runner| (runner.type_name(), runner));
        Self {
            by_type: Arc::new(by_type.collect()),
        }
    }

    /// Returns the runner of a hook. Hooks of a type without a runner always fail.
    pub(crate) fn of(&self, hook: &Hook) -> &dyn HookRunner {
        let registered = self.by_type.get(hook.kind.type_name());
        registered.map_or(&LuaRunner, |runner| &**runner)
    }
}
