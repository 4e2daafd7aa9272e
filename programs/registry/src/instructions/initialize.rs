//! Make the Registry.

use {
    crate::loaders::config_by_operator,
    anchor_lang::prelude::*,
    campus_common::{create, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{GovernanceError, CONFIG_ADDRESS},
    registry_interface::{Registry, RegistryError, REGISTRY_ADDRESS, REGISTRY_SEED},
};

/// Accounts of initialize.
#[derive(Accounts)]
pub struct Initialize {
    /// The operator, who pays the rent.
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Registry to make.
    #[account(mut, address = REGISTRY_ADDRESS @ RegistryError::WrongRegistry)]
    pub registry: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl Initialize {
    pub(crate) fn execute(&mut self) -> Result<()> {
        config_by_operator(&self.config, &self.operator)?;
        let (registry, bump) = create::<Registry>(
            self.operator.account(),
            self.registry.account(),
            &[REGISTRY_SEED],
            (RegistryError::WrongRegistry, RegistryError::AlreadyInitialized),
        )?;
        registry.version = VERSION;
        registry.bump = bump;
        registry.invariant()
    }
}
