//! Parameters that match their schema but cannot be parsed: an empty number, a time without a zone.
//!
//! lakeFS detects these after its contract checks and answers in plain text, which clients see.

use crate::convert::parse_date_time;
use crate::schema::{Operation, Place, Schema};

/// The length of a date without time, such as `2026-01-31`.
const DATE_BYTES: usize = 10;

/// The error text for the first query parameter that cannot be parsed, or none.
pub(crate) fn unreadable(operation: &Operation, query: &[(String, String)]) -> Option<String> {
    let parameters = operation.parameters.iter();
    let mut of_query = parameters.filter(|parameter| parameter.place == Place::Query);
    of_query.find_map(|parameter| {
        let mut values = query.iter().filter(|(name, _)| name == parameter.name);
        values.find_map(|(name, value)| {
            let reason = match parameter.schema {
                Schema::Integer { .. } if value.is_empty() => {
                    format!("multiple values for single value parameter '{name}'")
                }
                Schema::String { date_time: true, .. }
                    if !value.is_empty() && parse_date_time(value).is_none() =>
                {
                    format!(
                        "error parsing '{value}' as RFC3339 or 2006-01-02 time: parsing time \"{value}\": {}",
                        parse_failure(value)
                    )
                }
                _ => return None,
            };
            Some(format!("Invalid format for parameter {name}: {reason}\n"))
        })
    })
}

/// Why a time that matches the schema's pattern cannot be parsed, in the words of Go's parser.
fn parse_failure(value: &str) -> String {
    match value.get(DATE_BYTES..).filter(|rest| !rest.is_empty()) {
        Some(rest) => format!("extra text: \"{rest}\""),
        None => "day out of range".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::unreadable;
    use crate::generated::OPERATIONS;

    #[test]
    fn empty_numbers_and_times_without_a_zone_are_unreadable() {
        let log = OPERATIONS
            .iter()
            .find(|operation| operation.id == "logCommits")
            .expect("logCommits is in the contract");
        for (name, value, expected) in [
            (
                "amount",
                "",
                Some(
                    "Invalid format for parameter amount: multiple values for single value parameter 'amount'\n",
                ),
            ),
            (
                "since",
                "2017-07-14T03:30:00",
                Some(
                    "Invalid format for parameter since: error parsing '2017-07-14T03:30:00' as RFC3339 or 2006-01-02 time: parsing time \"2017-07-14T03:30:00\": extra text: \"T03:30:00\"\n",
                ),
            ),
            ("since", "2017-07-14T03:30:00Z", None),
            ("since", "", None),
            ("amount", "7", None),
            ("after", "", None),
        ] {
            let query = [(name.to_owned(), value.to_owned())];
            assert_eq!(
                unreadable(log, &query).as_deref(),
                expected,
                "{name}={value}"
            );
        }
    }
}
