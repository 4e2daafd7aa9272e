//! Why energy is retired, and where tokens are.

use campus_common::code;

code!(
    /// Why energy is retired.
    Reason as StoredReason {
        /// Against what the member has drawn.
        Consumption = 0,
        /// As feed-in, for credits.
        FeedIn = 1,
    }
);

code!(
    /// Where a member's tokens are.
    Place as StoredPlace {
        /// In the member's token account: its wallet burns.
        TokenAccount = 0,
        /// In the member's seat: the market burns, for the wallet or the delegate.
        Seat = 1,
    }
);
