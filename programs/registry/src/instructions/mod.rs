//! One file an instruction.

mod initialize;
mod register_installation;
mod register_meter;
mod register_user;

pub use {initialize::*, register_installation::*, register_meter::*, register_user::*};
