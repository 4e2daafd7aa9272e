//! One file an instruction.

mod checkpoint_epoch;
mod open_energy_account;
mod open_meter;
mod rebase_meter;
mod settle_idle_meter;
pub(crate) mod settle_surplus;
pub(crate) mod submit_readings;
mod trigger_clearing;

pub use {
    checkpoint_epoch::*, open_energy_account::*, open_meter::*, rebase_meter::*, settle_idle_meter::*, settle_surplus::*,
    submit_readings::*, trigger_clearing::*,
};
