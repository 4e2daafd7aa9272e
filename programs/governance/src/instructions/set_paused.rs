//! Pause and resume activities.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    governance_interface::{events::PauseChanged, Config, GovernanceError, Pause, CONFIG_ADDRESS},
};

/// Accounts of set_paused.
#[derive(Accounts)]
pub struct SetPaused {
    /// The authority.
    pub authority: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl SetPaused {
    pub(crate) fn execute(&mut self, bits: u16) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        config.require_authority(self.authority.account())?;
        if bits & !Pause::ALL.0 != 0 {
            return Err(GovernanceError::UnknownPauseBits.into());
        }
        log(&PauseChanged { before: config.pause, after: bits });
        config.pause = bits;
        config.invariant()
    }
}
