//! Suspend, reactivate or close a member.

use {
    crate::loaders::next_status,
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator},
    registry_interface::{events::UserStatusChanged, RegistryError, Status, User},
};

/// Accounts of set_user_status.
#[derive(Accounts)]
pub struct SetUserStatus {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
}

impl SetUserStatus {
    pub(crate) fn execute(&mut self, status: u8) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        let user = &mut self.user;
        let status = next_status(user.status, status)?;
        if status == Status::Closed && (user.settling_meters != 0 || user.submeters != 0) {
            return Err(RegistryError::UserHasMeters.into());
        }
        log(&UserStatusChanged { wallet: user.member, before: user.status, after: status.into() });
        user.status = status.into();
        Ok(())
    }
}
