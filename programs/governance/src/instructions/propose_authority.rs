//! Propose another authority; it takes over when it accepts.

use {
    anchor_lang::prelude::*,
    campus_common::{log, CheckedMut, Signatory},
    governance_interface::{events::AuthorityProposed, Authority, Config},
};

/// Accounts of propose_authority.
#[derive(Accounts)]
pub struct ProposeAuthority {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl ProposeAuthority {
    pub(crate) fn execute(&mut self, pending: Address) -> Result<()> {
        let config = &mut self.config;
        config.require_authority(&self.authority)?;
        config.pending_authority = pending;
        log(&AuthorityProposed { pending });
        Ok(())
    }
}
