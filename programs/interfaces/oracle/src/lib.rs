//! Oracle: what other programs need of it — meter states, energy accounts, checkpoints, its signing address and its errors.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod accounts;
mod error;
pub mod events;
mod kinds;

pub use {
    accounts::{
        EnergyAccount, EpochCheckpoint, MeterState, Oracle, DOUBTFUL_FLAGS, ENERGY_SEED, EPOCH_SEED, ORACLE_ADDRESS, ORACLE_BUMP,
        ORACLE_SEED, STATE_SEED,
    },
    error::OracleError,
    kinds::{SpanKind, StoredSpanKind},
};

anchor_lang::declare_id!("Campusorac1e11111111111111111111111111111111");

campus_common::idl_accounts!(Oracle, MeterState, EnergyAccount, EpochCheckpoint);
