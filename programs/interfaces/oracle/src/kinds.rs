//! How spans are settled.

use campus_common::code;

code!(
    /// How a span was settled.
    SpanKind as StoredSpanKind {
        /// Generation was netted with consumption, and the surplus minted.
        Netted = 0,
        /// The meters were not the same, or one had another key, user, map or status, or a doubtful reading: nothing is credited.
        Baseline = 1,
        /// Longer than netting_epochs: nothing is credited, and the whole consumption is withdrawn.
        TooLong = 2,
    }
);
