//! Governance: what other programs need of it — the Config, its pause bits and parameters, and its errors.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod config;
mod error;
pub mod events;

pub use {
    config::{Authority, Config, Operator, Parameters, Pause, CONFIG_ADDRESS, CONFIG_BUMP, CONFIG_SEED, RETIREMENT_GRACE_EPOCHS},
    error::GovernanceError,
};

anchor_lang::declare_id!("CampusGovernance1111111111111111111111111111");

campus_common::idl_accounts!(Config);
