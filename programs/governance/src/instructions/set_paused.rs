//! Pause and resume activities.

use {
    anchor_lang::prelude::*,
    campus_common::{log, CheckedMut, Signatory},
    governance_interface::{events::PauseChanged, Authority, Config, GovernanceError, Pause},
};

/// Accounts of set_paused.
#[derive(Accounts)]
pub struct SetPaused {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl SetPaused {
    pub(crate) fn execute(&mut self, bits: u16) -> Result<()> {
        let config = &mut self.config;
        config.require_authority(&self.authority)?;
        if bits & !Pause::ALL.0 != 0 {
            return Err(GovernanceError::UnknownPauseBits.into());
        }
        log(&PauseChanged { before: config.pause, after: bits });
        config.pause = bits;
        Ok(())
    }
}
