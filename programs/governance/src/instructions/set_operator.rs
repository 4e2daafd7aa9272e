//! Name another operator.

use {
    anchor_lang::prelude::*,
    campus_common::{log, CheckedMut, Signatory},
    governance_interface::{events::OperatorChanged, Authority, Config, GovernanceError},
};

/// Accounts of set_operator.
#[derive(Accounts)]
pub struct SetOperator {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl SetOperator {
    pub(crate) fn execute(&mut self, operator: Address) -> Result<()> {
        let config = &mut self.config;
        config.require_authority(&self.authority)?;
        if operator == Address::default() {
            return Err(GovernanceError::ZeroKey.into());
        }
        log(&OperatorChanged { before: config.operator, after: operator });
        config.operator = operator;
        Ok(())
    }
}
