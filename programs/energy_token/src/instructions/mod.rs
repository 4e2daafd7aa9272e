//! One file an instruction.

mod initialize;
mod issue_credit;
mod mint_energy;

pub use {initialize::*, issue_credit::*, mint_energy::*};
