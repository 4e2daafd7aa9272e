//! One file an instruction.

mod initialize;
mod reassign_meter;
mod register_installation;
mod register_meter;
mod register_user;
mod replace_meter_key;
mod set_delegate;
mod set_meter_map;
mod set_meter_status;
mod set_user_status;

pub use {
    initialize::*, reassign_meter::*, register_installation::*, register_meter::*, register_user::*, replace_meter_key::*,
    set_delegate::*, set_meter_map::*, set_meter_status::*, set_user_status::*,
};
