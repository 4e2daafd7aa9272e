//! Open a member's EnergyAccount: needed before a meter of another member is given to it; open_meter makes it by itself.

use {
    anchor_lang::prelude::*,
    campus_common::{log, make, CampusAccount, Checked, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{events::EnergyAccountOpened, EnergyAccount, OracleError, ENERGY_SEED},
    registry_interface::User,
};

/// Accounts of open_energy_account.
#[derive(Accounts)]
pub struct OpenEnergyAccount {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The EnergyAccount to make, at [energy, member].
    #[account(unsafe(dup))]
    pub energy_account: Fresh<EnergyAccount>,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ OracleError::WrongProgram)]
    pub system_program: Foreign,
}

impl OpenEnergyAccount {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        open(config, &self.user, self.operator.account(), self.energy_account.account())
    }
}

/// Make a member's EnergyAccount.
pub(crate) fn open(config: &Config, user: &User, payer: &AccountView, view: &AccountView) -> Result<()> {
    let (mut account, bump) = make::<EnergyAccount>(
        payer,
        view,
        &[ENERGY_SEED, user.member.as_ref()],
        (OracleError::WrongAddress, OracleError::AlreadyOpen),
    )?;
    account.version = VERSION;
    account.bump = bump;
    account.wallet = user.member;
    account.period = config.billing_period;
    log(&EnergyAccountOpened { wallet: account.wallet });
    account.invariant()
}
