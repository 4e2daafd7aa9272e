//! Suspend, reactivate or close a member.

use {
    crate::loaders::{config_by_operator, next_status},
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    governance_interface::{GovernanceError, CONFIG_ADDRESS},
    registry_interface::{events::UserStatusChanged, RegistryError, Status, User},
};

/// Accounts of set_user_status.
#[derive(Accounts)]
pub struct SetUserStatus {
    /// The operator.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The User.
    #[account(mut)]
    pub user: UncheckedAccount,
}

impl SetUserStatus {
    pub(crate) fn execute(&mut self, status: u8) -> Result<()> {
        config_by_operator(&self.config, &self.operator)?;
        let user = User::load_mut(self.user.account())?;
        let status = next_status(user.status, status)?;
        if status == Status::Closed && (user.settling_meters != 0 || user.submeters != 0) {
            return Err(RegistryError::UserHasMeters.into());
        }
        log(&UserStatusChanged { wallet: user.wallet, before: user.status, after: status as u8 });
        user.status = status as u8;
        user.invariant()
    }
}
