//! Registry: what other programs need of it — users, installations, meters, their roles, and the registry's errors.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod accounts;
mod error;
pub mod events;
mod kinds;

pub use {
    accounts::{
        Installation, KeyUse, Meter, OwnWallet, Registry, User, WalletOrDelegate, WalletUse, INSTALLATION_SEED, KEY_SEED,
        MAX_FIRST_SEQUENCE, MAX_NAMEPLATE_W, MAX_SETTLING_METERS, METER_SEED, REGISTRY_ADDRESS, REGISTRY_BUMP, REGISTRY_SEED,
        USER_SEED, WALLET_DELAY_EPOCHS,
    },
    error::RegistryError,
    kinds::{
        InstallationKind, MeterRole, Source, Status, StoredInstallationKind, StoredMeterRole, StoredSource, StoredStatus,
        StoredUserRole, UserRole,
    },
};

anchor_lang::declare_id!("CampusRegistry111111111111111111111111111111");

campus_common::idl_accounts!(Registry, KeyUse, User, WalletUse, Installation, Meter);
