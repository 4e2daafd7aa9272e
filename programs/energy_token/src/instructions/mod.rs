//! One file an instruction.

mod initialize;
mod issue_credit;
mod mint_energy;
mod redeem_credit;
mod retire_energy;

pub use {initialize::*, issue_credit::*, mint_energy::*, redeem_credit::*, retire_energy::*};
