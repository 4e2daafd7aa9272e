//! One file an instruction.

mod follow_installation;
mod initialize;
mod propose_wallet;
mod reassign_meter;
mod register_installation;
mod register_meter;
mod register_user;
mod replace_meter_key;
mod replace_wallet;
mod set_delegate;
mod set_meter_map;
mod set_meter_status;
mod set_user_role;
mod set_user_status;
mod stage_installation;

pub use {
    follow_installation::*, initialize::*, propose_wallet::*, reassign_meter::*, register_installation::*, register_meter::*,
    register_user::*, replace_meter_key::*, replace_wallet::*, set_delegate::*, set_meter_map::*, set_meter_status::*,
    set_user_role::*, set_user_status::*, stage_installation::*,
};
