//! Name, renew or remove a delegate.
//!
//! The registry records who it is and until when; the market and retire_energy heed that. No token account is asked: whatever became of
//! a member's (closed, frozen, given away), the member names a delegate and drops it. What the delegate may bring into the seat out of the
//! member's own account is what the member has approved to the market's address at SPL Token, by SPL Token's own Approve.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, now, units::UnixTime, CheckedMut, Foreign, Signatory},
    registry_interface::{events::DelegateChanged, OwnWallet, RegistryError, User},
};

/// A delegation's longest term: 366 days.
const LONGEST_TERM: i64 = 366 * 86_400;

/// Accounts of set_delegate.
#[derive(Accounts)]
pub struct SetDelegate {
    /// The member's wallet.
    pub wallet: Signatory<OwnWallet>,
    /// The member's User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
    /// The delegate; the system program's address (all zero) removes it.
    pub delegate: Foreign,
}

impl SetDelegate {
    pub(crate) fn execute(&mut self, until: UnixTime) -> Result<()> {
        let user = &mut self.user;
        if !address_eq(self.wallet.account().address(), &user.wallet) {
            return Err(RegistryError::NotWallet.into());
        }
        let delegate = *self.delegate.account().address();
        if delegate == Address::default() {
            // A suspended member's, too.
            user.delegate_until = UnixTime(0);
        } else {
            user.require_active()?;
            let now = now()?;
            if until <= now || until.0 - now.0 > LONGEST_TERM || address_eq(&delegate, &user.wallet) {
                return Err(RegistryError::DelegationTermOutOfBounds.into());
            }
            user.delegate_until = until;
        }
        user.delegate = delegate;
        log(&DelegateChanged { wallet: user.member, delegate: user.delegate, until: user.delegate_until });
        Ok(())
    }
}
