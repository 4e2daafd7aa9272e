//! Make the Registry.

use {
    anchor_lang::prelude::*,
    campus_common::{CampusAccount, Checked, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, Operator},
    registry_interface::{Registry, RegistryError, REGISTRY_SEED},
};

/// Accounts of initialize.
#[derive(Accounts)]
pub struct Initialize {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Registry to make.
    #[account(unsafe(dup))]
    pub registry: Fresh<Registry>,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: Foreign,
}

impl Initialize {
    pub(crate) fn execute(&mut self) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        let (mut registry, bump) = self.registry.make(
            self.operator.account(),
            &[REGISTRY_SEED],
            (RegistryError::WrongRegistry, RegistryError::AlreadyInitialized),
        )?;
        registry.version = VERSION;
        registry.bump = bump;
        registry.invariant()
    }
}
