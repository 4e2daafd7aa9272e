//! Name another operator.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    governance_interface::{events::OperatorChanged, Config, GovernanceError, CONFIG_ADDRESS},
};

/// Accounts of set_operator.
#[derive(Accounts)]
pub struct SetOperator {
    /// The authority.
    pub authority: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl SetOperator {
    pub(crate) fn execute(&mut self, operator: Address) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        config.require_authority(self.authority.account())?;
        if operator == Address::default() {
            return Err(GovernanceError::ZeroKey.into());
        }
        log(&OperatorChanged { before: config.operator, after: operator });
        config.operator = operator;
        config.invariant()
    }
}
