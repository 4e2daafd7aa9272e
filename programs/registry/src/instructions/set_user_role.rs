//! Give a member another role.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator},
    registry_interface::{events::UserRoleChanged, RegistryError, User, UserRole},
};

/// Accounts of set_user_role.
#[derive(Accounts)]
pub struct SetUserRole {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
}

impl SetUserRole {
    pub(crate) fn execute(&mut self, role: u8) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        let Some(role) = UserRole::from_code(role) else {
            return Err(RegistryError::UnknownUserRole.into());
        };
        let user = &mut self.user;
        user.require_not_closed()?;
        if user.role == role {
            return Err(RegistryError::RoleUnchanged.into());
        }
        log(&UserRoleChanged { member: user.member, before: user.role, after: role.into() });
        user.role = role.into();
        Ok(())
    }
}
