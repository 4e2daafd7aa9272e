//! Events of the governance program: fixed layouts, logged.

use {
    crate::Parameters,
    anchor_lang::prelude::*,
    campus_common::units::{BillingPeriod, Epoch, Seconds},
};

/// The deployment was born.
#[event(bytemuck)]
pub struct Initialized {
    /// The deployment's random name.
    pub network_id: [u8; 8],
    /// Length of an epoch.
    pub epoch_seconds: Seconds,
    /// First epoch.
    pub first_epoch: Epoch,
    /// Who administers.
    pub authority: Address,
    /// Who operates.
    pub operator: Address,
    /// The first parameters.
    pub parameters: Parameters,
}

/// Activities were paused or resumed.
#[event(bytemuck)]
pub struct PauseChanged {
    /// Pause bits before.
    pub before: u16,
    /// Pause bits now.
    pub after: u16,
}

/// Parameters were staged for a later epoch. The Config holds two sets; with these events, which held when can be told for ever.
#[event(bytemuck)]
pub struct ParametersStaged {
    /// First epoch in which they hold.
    pub from_epoch: Epoch,
    /// The parameters.
    pub parameters: Parameters,
}

/// Another authority was proposed.
#[event(bytemuck)]
pub struct AuthorityProposed {
    /// The proposed one; all zero where the proposal was withdrawn.
    pub pending: Address,
}

/// The authority changed hands.
#[event(bytemuck)]
pub struct AuthorityChanged {
    /// Who it was.
    pub before: Address,
    /// Who it is.
    pub after: Address,
}

/// The operator changed.
#[event(bytemuck)]
pub struct OperatorChanged {
    /// Who it was.
    pub before: Address,
    /// Who it is.
    pub after: Address,
}

/// A billing period was opened and the one before closed.
#[event(bytemuck)]
pub struct BillingPeriodOpened {
    /// Number of the period now open.
    pub period: BillingPeriod,
    /// Its first epoch.
    pub first_epoch: Epoch,
}
