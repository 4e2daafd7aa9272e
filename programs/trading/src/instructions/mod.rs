//! One file an instruction: its accounts, and what it does.

mod burn_from_seat;
mod cancel_order;
mod clear_epoch;
mod credit_seat;
mod deposit;
mod grow_book;
mod grow_seats;
mod initialize_market;
mod open_epoch;
mod place_order;
mod refund_epoch;
mod set_fee_account;
mod set_payout;
mod withdraw;
mod withdraw_fees;

pub use {
    burn_from_seat::*, cancel_order::*, clear_epoch::*, credit_seat::*, deposit::*, grow_book::*, grow_seats::*,
    initialize_market::*, open_epoch::*, place_order::*, refund_epoch::*, set_fee_account::*, set_payout::*, withdraw::*,
    withdraw_fees::*,
};
