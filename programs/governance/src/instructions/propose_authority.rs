//! Propose another authority; it takes over when it accepts.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    governance_interface::{events::AuthorityProposed, Config, GovernanceError, CONFIG_ADDRESS},
};

/// Accounts of propose_authority.
#[derive(Accounts)]
pub struct ProposeAuthority {
    /// The authority.
    pub authority: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl ProposeAuthority {
    pub(crate) fn execute(&mut self, pending: Address) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        config.require_authority(self.authority.account())?;
        config.pending_authority = pending;
        log(&AuthorityProposed { pending });
        config.invariant()
    }
}
