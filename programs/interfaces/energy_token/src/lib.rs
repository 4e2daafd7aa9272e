//! Energy token: what other programs need of it — its mints, its Retirement accounts, its errors, and the call that mints.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod accounts;
pub mod cpi;
mod error;
pub mod events;
mod kinds;
mod token_account;

pub use {
    accounts::{
        Retirement, CREDIT_DECIMALS, CREDIT_MINT, CREDIT_MINT_BUMP, CREDIT_MINT_SEED, ENERGY_DECIMALS, ENERGY_MINT,
        ENERGY_MINT_BUMP, ENERGY_MINT_SEED, MINT_AUTHORITY, MINT_AUTHORITY_BUMP, MINT_AUTHORITY_SEED, RETIRED_SEED,
    },
    error::EnergyTokenError,
    kinds::{Place, Reason, StoredPlace, StoredReason},
    token_account::can_receive,
};

anchor_lang::declare_id!("CampusEnergyToken111111111111111111111111111");

campus_common::idl_accounts!(Retirement);
