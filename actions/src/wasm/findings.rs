//! The findings of one instance, and their memory.
//!
//! An instance keeps a limited number of findings. All instances of a hook share one budget for
//! their memory. The budget also counts instances that have ended but whose outcomes were not
//! collected yet; those hold no admission.

use std::sync::Arc;

use graveler::Finding;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{
    FINDINGS_BYTES, FINDINGS_EACH, NAME_BYTES, PROPERTIES, PROPERTY_BYTES, TEXT_BYTES, cut, size,
};

/// Number of bytes that the instances of a hook may still keep beyond [`FINDINGS_EACH`].
pub(super) type FindingsBudget = Arc<Semaphore>;

pub(super) fn budget() -> FindingsBudget {
    Arc::new(Semaphore::new(FINDINGS_BYTES))
}

/// Why a finding is only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitReached {
    /// The instance has this many findings, which is the hook's limit.
    #[error("only {0} findings are kept; this one is only counted (limits.findings)")]
    TooMany(usize),
    /// The instance, or all instances of the hook together, reached the limit on their size.
    #[error("only {} of findings are kept; this one is only counted", size(FINDINGS_BYTES as u64))]
    TooLarge,
}

/// The findings of one instance.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) kept: Vec<Finding>,
    pub(super) dropped: u64,
    /// Total size of the kept findings; see [`weight`].
    bytes: usize,
    /// What this instance has taken from the budget. Returned on drop.
    reserved: Option<OwnedSemaphorePermit>,
}

impl Findings {
    /// Keeps a finding, unless `limit` findings are kept or the budget is used up.
    ///
    /// # Errors
    /// [`LimitReached`].
    pub(super) fn add(
        &mut self,
        finding: Finding,
        limit: usize,
        budget: &FindingsBudget,
    ) -> Result<(), LimitReached> {
        if self.kept.len() >= limit {
            self.dropped += 1;
            return Err(LimitReached::TooMany(limit));
        }
        let bytes = weight(&finding);
        if self.bytes + bytes > FINDINGS_BYTES || !self.reserve(bytes, budget) {
            self.dropped += 1;
            return Err(LimitReached::TooLarge);
        }
        self.bytes += bytes;
        self.kept.push(finding);
        Ok(())
    }

    /// Takes memory from the budget, unless the finding fits into this instance's own part.
    fn reserve(&mut self, bytes: usize, budget: &FindingsBudget) -> bool {
        if self.bytes + bytes <= FINDINGS_EACH {
            return true;
        }
        let Ok(bytes) = u32::try_from(bytes) else {
            return false;
        };
        let Ok(more) = Arc::clone(budget).try_acquire_many_owned(bytes) else {
            return false;
        };
        match &mut self.reserved {
            Some(reserved) => reserved.merge(more),
            none => *none = Some(more),
        }
        true
    }
}

/// Sets a property of a finding, unless the finding's properties would then exceed their limits.
pub(super) fn set_property(finding: &mut Finding, name: &str, value: &str) {
    let properties = &mut finding.properties;
    let (name, value) = (cut(name, NAME_BYTES), cut(value, TEXT_BYTES));
    let others = properties.iter().filter(|(n, _)| **n != name);
    let bytes: usize = others.map(|(n, v)| n.len() + v.len()).sum();
    let is_new = !properties.contains_key(&name);
    if bytes + name.len() + value.len() <= PROPERTY_BYTES
        && (!is_new || properties.len() < PROPERTIES)
    {
        properties.insert(name, value);
    }
}

/// Returns the estimated memory use of a finding in bytes.
pub(super) fn weight(finding: &Finding) -> usize {
    let properties = finding.properties.iter();
    let properties: usize = properties
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let texts = [
        &finding.rule,
        &finding.message,
        &finding.action,
        &finding.hook,
    ];
    size_of::<Finding>()
        + texts.iter().map(|text| text.len()).sum::<usize>()
        + finding.path.as_ref().map_or(0, String::len)
        + properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            action: "gate".into(),
            hook: "check".into(),
            severity: "error".into(),
            rule: "r".into(),
            message: "x".repeat(TEXT_BYTES),
            path: None,
            properties: std::collections::BTreeMap::new(),
        }
    }

    fn fill(findings: &mut Findings, budget: &FindingsBudget) {
        while findings.add(finding(), usize::MAX, budget).is_ok() {}
    }

    /// Regression test: each of 64 instances kept 16 MiB, which was 1 GiB for one hook.
    #[test]
    fn instances_of_a_hook_share_the_budget() {
        let budget = budget();
        let mut instances: Vec<Findings> = (0..64).map(|_| Findings::default()).collect();
        for findings in &mut instances {
            fill(findings, &budget);
        }
        let kept: usize = instances.iter().map(|findings| findings.bytes).sum();
        assert!(kept <= FINDINGS_BYTES + 64 * FINDINGS_EACH, "{kept}");
        let each = FINDINGS_EACH / weight(&finding());
        assert_eq!(instances[63].kept.len(), each, "its own part is left");
        // The memory of a collected outcome is free again.
        drop(instances.remove(0));
        let more = &mut instances[62];
        more.add(finding(), usize::MAX, &budget).unwrap();
        assert_eq!((more.kept.len(), more.dropped), (each + 1, 1));
    }

    #[test]
    fn number_and_size_per_instance_are_limited() {
        let mut findings = Findings::default();
        findings.add(finding(), 1, &budget()).unwrap();
        let refused = findings.add(finding(), 1, &budget()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "only 1 findings are kept; this one is only counted (limits.findings)"
        );
        fill(&mut findings, &Arc::new(Semaphore::new(4 * FINDINGS_BYTES)));
        assert!(findings.bytes <= FINDINGS_BYTES);
        let next = findings.bytes + weight(&finding());
        assert!(next > FINDINGS_BYTES, "{next}");
    }
}
