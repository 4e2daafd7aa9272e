//! One file an instruction: its accounts, and what it does.

mod burn_delegated;
mod cancel_order;
mod clear_epoch;
mod close_epoch;
mod grow_book;
mod initialize_market;
mod open_epoch;
mod place_order;
mod refund_epoch;
mod settle_orders;

pub use {
    burn_delegated::*, cancel_order::*, clear_epoch::*, close_epoch::*, grow_book::*, initialize_market::*, open_epoch::*,
    place_order::*, refund_epoch::*, settle_orders::*,
};
