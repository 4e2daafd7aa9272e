//! One file an instruction.

mod initialize;
mod set_paused;

pub use {initialize::*, set_paused::*};
