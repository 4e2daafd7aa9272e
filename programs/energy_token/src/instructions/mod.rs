//! One file an instruction.

mod initialize;
mod issue_credit;
mod mint_energy;
mod mint_energy_to_seat;
mod redeem_credit;
mod retire_energy;

pub use {initialize::*, issue_credit::*, mint_energy::*, mint_energy_to_seat::*, redeem_credit::*, retire_energy::*};
