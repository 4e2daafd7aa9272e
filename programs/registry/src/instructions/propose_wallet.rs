//! Propose another wallet for a member: after a lost or stolen key, or where its token accounts are no longer its own.
//!
//! It takes over by replace_wallet, a day of epochs later at the earliest: time in which whoever watches the chain can object, and the
//! operator, or another that the authority names, withdraws the proposal.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, now, units::Epoch, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::WalletProposed, RegistryError, User, WALLET_DELAY_EPOCHS},
};

/// Accounts of propose_wallet.
#[derive(Accounts)]
pub struct ProposeWallet {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
}

impl ProposeWallet {
    pub(crate) fn execute(&mut self, next: Address) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let user = &mut self.user;
        user.require_not_closed()?;
        if address_eq(&next, &config.operator) {
            return Err(RegistryError::OperatorAsMember.into());
        }
        if next == Address::default() {
            if user.next_wallet_from.0 == 0 {
                return Err(RegistryError::NoWalletProposed.into());
            }
            user.next_wallet_from = Epoch(0);
        } else {
            user.next_wallet_from = Epoch(config.epoch(now()?).0.saturating_add(WALLET_DELAY_EPOCHS));
        }
        user.next_wallet = next;
        log(&WalletProposed { member: user.member, wallet: user.wallet, next, from_epoch: user.next_wallet_from });
        Ok(())
    }
}
