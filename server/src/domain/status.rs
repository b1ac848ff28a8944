//! The statuses of a report and the one table of what may follow what.

/// What a move demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    Nothing,
    /// A reason.
    Reason,
    /// A question to the observer.
    Question,
}

/// A new report.
pub const RECEIVED: &str = "received";
/// A coordinator has taken it up.
pub const IN_REVIEW: &str = "in_review";
/// The observer was asked something.
pub const NEEDS_INFO: &str = "needs_info";
/// Confirmed.
pub const VERIFIED: &str = "verified";
/// Could not be confirmed.
pub const NOT_VERIFIED: &str = "not_verified";
/// Not a matter of observation.
pub const DISMISSED: &str = "dismissed";
/// The observer amended it after a decision.
pub const REOPENED: &str = "reopened";

/// Every status.
pub const ALL: [&str; 7] = [
    RECEIVED,
    IN_REVIEW,
    NEEDS_INFO,
    VERIFIED,
    NOT_VERIFIED,
    DISMISSED,
    REOPENED,
];

/// From, to, and what the move demands. What is not here is not allowed;
/// `reopened` is reached by an observer's amendment alone. A decision that was
/// wrong goes back to review, with the reason on record.
pub const TRANSITIONS: [(&str, &str, Demand); 11] = [
    (RECEIVED, IN_REVIEW, Demand::Nothing),
    (REOPENED, IN_REVIEW, Demand::Nothing),
    (IN_REVIEW, NEEDS_INFO, Demand::Question),
    (IN_REVIEW, VERIFIED, Demand::Nothing),
    (IN_REVIEW, NOT_VERIFIED, Demand::Reason),
    (IN_REVIEW, DISMISSED, Demand::Reason),
    (NEEDS_INFO, IN_REVIEW, Demand::Nothing),
    (NEEDS_INFO, NEEDS_INFO, Demand::Question),
    (VERIFIED, IN_REVIEW, Demand::Reason),
    (NOT_VERIFIED, IN_REVIEW, Demand::Reason),
    (DISMISSED, IN_REVIEW, Demand::Reason),
];

/// What the move demands, or `None` if it is not allowed.
#[must_use]
pub fn transition(from: &str, to: &str) -> Option<Demand> {
    TRANSITIONS
        .iter()
        .find(|(a, b, _)| *a == from && *b == to)
        .map(|(_, _, demand)| *demand)
}

/// Whether a decision has been taken that an amendment reopens.
#[must_use]
pub fn is_decided(status: &str) -> bool {
    matches!(status, VERIFIED | NOT_VERIFIED | DISMISSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_the_design_says() {
        let allowed: Vec<_> = ALL
            .iter()
            .flat_map(|from| ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| transition(from, to).is_some())
            .collect();
        assert_eq!(
            allowed.len(),
            TRANSITIONS.len(),
            "no row stands twice and each names known statuses"
        );
        for (from, to) in [
            (RECEIVED, VERIFIED),
            (VERIFIED, DISMISSED),
            (REOPENED, VERIFIED),
            (RECEIVED, REOPENED),
        ] {
            assert_eq!(transition(from, to), None, "{from} → {to}");
        }
        assert_eq!(transition(IN_REVIEW, NEEDS_INFO), Some(Demand::Question));
        assert_eq!(transition("", ""), None);
    }
}
