//! Take over as the authority, having been proposed.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Signatory},
    governance_interface::{events::AuthorityChanged, Config, GovernanceError, CONFIG_ADDRESS},
};

/// Accounts of accept_authority.
#[derive(Accounts)]
pub struct AcceptAuthority {
    /// The proposed authority.
    pub pending: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl AcceptAuthority {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        let pending = self.pending.account();
        if config.pending_authority == Address::default() {
            return Err(GovernanceError::NoPendingAuthority.into());
        }
        if !pending.is_signer() || !address_eq(pending.address(), &config.pending_authority) {
            return Err(GovernanceError::NotPendingAuthority.into());
        }
        log(&AuthorityChanged { before: config.authority, after: config.pending_authority });
        config.authority = config.pending_authority;
        config.pending_authority = Address::default();
        config.invariant()
    }
}
