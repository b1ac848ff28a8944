//! Where a report stands, in words an observer understands: one table.

use serde::{Serialize, Serializer};

macro_rules! statuses {
    ($($variant:ident $code:literal $words:literal $meaning:literal;)*) => {
        /// Where a report stands. The codes are stable; the words are for people.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Status {
            $(#[doc = $meaning] $variant,)*
        }

        impl Status {
            /// Every status, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The words, in English.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }

            /// What it means for the observer.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

statuses! {
    Waiting "waiting" "waiting" "Safe on this device; not yet, or not wholly, with the server.";
    Delivered "delivered" "delivered" "The server holds it and signed a receipt for it.";
    Held "held" "delivered, incomplete" "The server holds it, and waits for an earlier part of it.";
    Quarantined "quarantined" "delivered, being checked" "The server holds it; a coordinator decides whether it counts.";
    Refused "refused" "not accepted, kept" "The server did not take it. It is kept here and offered again.";
    InReview "in_review" "under review" "A coordinator is looking at it.";
    NeedsInfo "needs_info" "question for you" "A coordinator asks something; answer it.";
    Verified "verified" "confirmed" "The coordinators found it confirmed.";
    NotVerified "not_verified" "not confirmed" "The coordinators could not confirm it.";
    Dismissed "dismissed" "closed" "The coordinators closed it.";
    Withdrawn "withdrawn" "withdrawn" "You took it back.";
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Apps program against the codes; translators against the words.
    #[test]
    fn the_table_is_stable() {
        let lines: Vec<String> = Status::ALL
            .iter()
            .map(|status| {
                format!(
                    "{} | {} | {}",
                    status.code(),
                    status.words(),
                    status.meaning()
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
