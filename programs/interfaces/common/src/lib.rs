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
mod addresses;
mod clock;
mod codes;
pub mod cpi;
pub mod ed25519;
mod events;
mod further;
pub mod idl;
mod refusals;
mod signatory;
pub mod units;

pub use {
    account::{
        array_space, borrow, borrow_array, borrow_known, borrow_mut, is_account, make, make_array, CampusAccount, CampusArray,
        Checked, CheckedMut, Foreign, Fresh, Writing,
    },
    addresses::{ASSOCIATED_TOKEN_PROGRAM, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM, TOKEN_PROGRAM},
    clock::now,
    events::log,
    further::{Further, Next},
    refusals::{pack, packed_size, tell, Refusals, Text},
    signatory::{Capacity, Signatory},
};

/// Layout version that every account of this release carries in its first byte after the discriminator.
pub const VERSION: u8 = 1;
