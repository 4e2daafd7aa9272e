//! The cluster's time.

use {
    crate::units::UnixTime,
    anchor_lang::{pinocchio::sysvars::Sysvar, prelude::Clock, Result},
};

/// The cluster's time.
#[inline(always)]
pub fn now() -> Result<UnixTime> {
    Ok(UnixTime(Clock::get()?.unix_timestamp))
}
