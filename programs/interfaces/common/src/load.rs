//! Checked, zero-copy access to accounts: owner, length (or a greater one: a later release may add to it), discriminator.

use {
    crate::{account::is_account, units::UnixTime},
    anchor_lang::{bytemuck::Pod, pinocchio::sysvars::Sysvar, prelude::Clock, AccountView, Discriminator, Error, Owner, Result},
};

/// Length of an Anchor account's discriminator.
const DISCRIMINATOR: usize = 8;

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
