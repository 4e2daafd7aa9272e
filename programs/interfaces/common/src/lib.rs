//! What the campus programs share: unit newtypes, checked account loading, and support for their IDLs.
//!
//! # Loading accounts
//! An account is believed only after its owner, its length and its discriminator were seen ([`Checked`], [`CheckedMut`] as fields of an
//! instruction's accounts, [`borrow`] and [`borrow_mut`] for those that follow); a singleton's address is compared as well. Accounts of one program at seeds of their own (a meter, a user) need no hash of the seeds: the owning
//! program makes accounts with that discriminator at those seeds and nowhere else, so owner and discriminator prove the
//! address, and the caller then compares the field that says *which* one it is.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod account;
mod create;
pub mod ed25519;
mod events;
pub mod idl;
mod load;
mod signatory;
pub mod units;

pub use {
    account::{borrow, borrow_known, borrow_mut, is_account, make, CampusAccount, Checked, CheckedMut, Foreign, Fresh, Writing},
    create::{create, ASSOCIATED_TOKEN_PROGRAM, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM, TOKEN_PROGRAM},
    events::log,
    load::{load, load_mut, now},
    signatory::{Capacity, CheckedByHandler, Signatory},
};

/// Layout version that every account of this release carries in its first byte after the discriminator.
pub const VERSION: u8 = 1;
