//! One file an instruction.

mod accept_authority;
mod initialize;
mod open_billing_period;
mod propose_authority;
mod set_operator;
mod set_paused;
mod stage_parameters;

pub use {
    accept_authority::*, initialize::*, open_billing_period::*, propose_authority::*, set_operator::*, set_paused::*,
    stage_parameters::*,
};
