//! Open a member's EnergyAccount: needed before a meter of another member is given to it; open_meter makes it by itself.

use {
    anchor_lang::prelude::*,
    campus_common::{create, log, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::{events::EnergyAccountOpened, EnergyAccount, OracleError, ENERGY_SEED},
    registry_interface::User,
};

/// Accounts of open_energy_account.
#[derive(Accounts)]
pub struct OpenEnergyAccount {
    /// The operator, who pays the rent.
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The member, as registered.
    pub user: UncheckedAccount,
    /// The EnergyAccount to make, at [energy, wallet].
    #[account(mut)]
    pub energy_account: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ OracleError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl OpenEnergyAccount {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = Config::load(self.config.account())?;
        config.require_operator(self.operator.account())?;
        config.require_running(Pause::REGISTRATION)?;
        let user = User::load(self.user.account())?;
        make(config, user, self.operator.account(), self.energy_account.account())
    }
}

/// Make a member's EnergyAccount.
pub(crate) fn make(config: &Config, user: &User, payer: &AccountView, view: &AccountView) -> Result<()> {
    let (account, bump) = create::<EnergyAccount>(
        payer,
        view,
        &[ENERGY_SEED, user.wallet.as_ref()],
        (OracleError::WrongAddress, OracleError::AlreadyOpen),
    )?;
    account.version = VERSION;
    account.bump = bump;
    account.wallet = user.wallet;
    account.period = config.billing_period;
    log(&EnergyAccountOpened { wallet: account.wallet });
    account.invariant()
}
