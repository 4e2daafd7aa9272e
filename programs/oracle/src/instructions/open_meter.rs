//! Open a registered meter.

use {
    super::open_energy_account,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{create, is_account, log, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::{
        events::MeterOpened, EnergyAccount, MeterState, Oracle, OracleError, ORACLE_ADDRESS, ORACLE_SEED, STATE_SEED,
    },
    registry_interface::{Meter, User},
};

/// Accounts of open_meter.
#[derive(Accounts)]
pub struct OpenMeter {
    /// The operator, who pays the rent.
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Oracle account, made with the first meter.
    #[account(mut, address = ORACLE_ADDRESS @ OracleError::WrongOracle)]
    pub oracle: UncheckedAccount,
    /// The Meter, as registered.
    pub meter: UncheckedAccount,
    /// The meter's User.
    pub user: UncheckedAccount,
    /// The MeterState to make, at [state, meter_id].
    #[account(mut)]
    pub meter_state: UncheckedAccount,
    /// The member's EnergyAccount at [energy, wallet], made where it does not exist.
    #[account(mut)]
    pub energy_account: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ OracleError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl OpenMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = Config::load(self.config.account())?;
        config.require_operator(self.operator.account())?;
        config.require_running(Pause::REGISTRATION)?;
        let meter = Meter::load(self.meter.account())?;
        let user = User::load(self.user.account())?;
        if !address_eq(&meter.user, &user.wallet) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        let operator = self.operator.account();

        let oracle = self.oracle.account();
        if oracle.owned_by(&SYSTEM_PROGRAM) {
            let refusals = (OracleError::WrongOracle, OracleError::AlreadyOpen);
            let (oracle, bump) = create::<Oracle>(operator, oracle, &[ORACLE_SEED], refusals)?;
            oracle.version = VERSION;
            oracle.bump = bump;
            oracle.invariant()?;
        }

        if is_account::<EnergyAccount>(self.energy_account.account()) {
            let account = EnergyAccount::load(self.energy_account.account())?;
            if !address_eq(&account.wallet, &user.wallet) {
                return Err(OracleError::WalletMismatch.into());
            }
        } else {
            open_energy_account::make(config, user, operator, self.energy_account.account())?;
        }

        let (state, bump) = create::<MeterState>(
            operator,
            self.meter_state.account(),
            &[STATE_SEED, &meter.meter_id],
            (OracleError::WrongAddress, OracleError::AlreadyOpen),
        )?;
        state.version = VERSION;
        state.bump = bump;
        state.generation = meter.generation;
        state.meter = *self.meter.account().address();
        log(&MeterOpened { meter: state.meter, wallet: user.wallet });
        state.invariant()
    }
}
