//! Take over as the authority, having been proposed.
//!
//! What changes hands is the Config. The upgrade authority of the five programs is the loader's, not governance's: `solana program
//! set-upgrade-authority` hands it over, program by program, and until then the old authority can still replace the programs.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Capacity, CheckedMut, Signatory},
    governance_interface::{events::AuthorityChanged, Config, GovernanceError},
};

/// Signs as the proposed authority.
pub struct ProposedAuthority;

impl Capacity for ProposedAuthority {
    #[inline(always)]
    fn missing() -> Error {
        GovernanceError::NotPendingAuthority.into()
    }
}

/// Accounts of accept_authority.
#[derive(Accounts)]
pub struct AcceptAuthority {
    /// The proposed authority.
    pub pending: Signatory<ProposedAuthority>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl AcceptAuthority {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &mut self.config;
        let pending = self.pending.account();
        if config.pending_authority == Address::default() {
            return Err(GovernanceError::NoPendingAuthority.into());
        }
        if !address_eq(pending.address(), &config.pending_authority) {
            return Err(GovernanceError::NotPendingAuthority.into());
        }
        log(&AuthorityChanged { before: config.authority, after: config.pending_authority });
        config.authority = config.pending_authority;
        config.pending_authority = Address::default();
        Ok(())
    }
}
