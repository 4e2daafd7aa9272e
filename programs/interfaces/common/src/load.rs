//! Checked, zero-copy access to accounts: owner, length (or a greater one: a later release may add to it), discriminator.

use {
    crate::units::UnixTime,
    anchor_lang::{
        address_eq, bytemuck::Pod, pinocchio::sysvars::Sysvar, prelude::Clock, AccountView, Address, Discriminator, Error, Owner,
        Result,
    },
    core::mem::size_of,
};

/// Length of an Anchor account's discriminator.
const DISCRIMINATOR: usize = 8;

/// Whether `view` is an account of type `T`: its owner, its length and its discriminator.
#[inline(always)]
pub fn is_account<T: Owner + Discriminator + Pod>(view: &AccountView) -> bool {
    if view.data_len() < DISCRIMINATOR + size_of::<T>() {
        return false;
    }
    let owner: Address = T::OWNER;
    // SAFETY: the data pointer is valid for `data_len` bytes throughout the instruction, and account data starts on an 8-byte boundary.
    let discriminator = unsafe { *(view.data_ptr() as *const u64) };
    let expected = T::DISCRIMINATOR;
    let expected = u64::from_le_bytes([
        expected[0],
        expected[1],
        expected[2],
        expected[3],
        expected[4],
        expected[5],
        expected[6],
        expected[7],
    ]);
    discriminator == expected && address_eq(view.owner(), &owner)
}

/// Read an account of type `T`, or refuse with `wrong`.
///
/// The reference is into the runtime's input buffer: valid for the whole instruction, like every `AccountView`. A caller that writes
/// the same account through [`load_mut`] must drop this one first.
#[inline(always)]
pub fn load<'a, T: Owner + Discriminator + Pod>(view: &AccountView, wrong: impl Into<Error>) -> Result<&'a T> {
    if !is_account::<T>(view) {
        return Err(wrong.into());
    }
    // SAFETY: length and discriminator were checked; `T` is Pod with an alignment of at most 8, which account data has.
    Ok(unsafe { &*(view.data_ptr().add(DISCRIMINATOR) as *const T) })
}

/// Write access to an account of type `T`; refuses with `wrong` where it is another or not writable.
///
/// The caller sees to it that no two calls name the same account (distinct accounts have distinct addresses; a handler that takes a
/// list checks for repeats).
#[inline(always)]
pub fn load_mut<'a, T: Owner + Discriminator + Pod>(view: &AccountView, wrong: impl Into<Error>) -> Result<&'a mut T> {
    if !view.is_writable() || !is_account::<T>(view) {
        return Err(wrong.into());
    }
    let mut view = *view;
    // SAFETY: as in `load`; the account is writable, and aliasing is the caller's to exclude.
    Ok(unsafe { &mut *(view.data_mut_ptr().add(DISCRIMINATOR) as *mut T) })
}

/// The cluster's time.
#[inline(always)]
pub fn now() -> Result<UnixTime> {
    Ok(UnixTime(Clock::get()?.unix_timestamp))
}
