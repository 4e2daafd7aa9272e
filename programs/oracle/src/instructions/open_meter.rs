//! Open a registered meter.

use {
    super::open_energy_account,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{borrow, is_account, log, make, CampusAccount, Checked, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION},
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{
        events::MeterOpened, EnergyAccount, MeterState, Oracle, OracleError, ORACLE_ADDRESS, ORACLE_SEED, STATE_SEED,
    },
    registry_interface::{Meter, User},
};

/// Accounts of open_meter.
#[derive(Accounts)]
pub struct OpenMeter {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Oracle account, made with the first meter.
    #[account(unsafe(dup), address = ORACLE_ADDRESS @ OracleError::WrongOracle)]
    pub oracle: Foreign,
    /// The Meter, as registered.
    pub meter: Checked<Meter>,
    /// The meter's User.
    pub user: Checked<User>,
    /// The MeterState to make, at [state, meter_id].
    #[account(unsafe(dup))]
    pub meter_state: Fresh<MeterState>,
    /// The member's EnergyAccount at [energy, member], made where it does not exist.
    #[account(unsafe(dup))]
    pub energy_account: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ OracleError::WrongProgram)]
    pub system_program: Foreign,
}

impl OpenMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let (meter, user) = (&self.meter, &self.user);
        if !address_eq(&meter.user, &user.member) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        let operator = self.operator.account();

        let oracle = self.oracle.account();
        if oracle.owned_by(&SYSTEM_PROGRAM) {
            let refusals = (OracleError::WrongOracle, OracleError::AlreadyOpen);
            let (mut oracle, bump) = make::<Oracle>(operator, oracle, &[ORACLE_SEED], refusals)?;
            oracle.version = VERSION;
            oracle.bump = bump;
            oracle.invariant()?;
        }

        if is_account::<EnergyAccount>(self.energy_account.account()) {
            let account: &EnergyAccount = borrow(self.energy_account.account())?;
            if !address_eq(&account.wallet, &user.member) {
                return Err(OracleError::WalletMismatch.into());
            }
        } else {
            open_energy_account::open(config, user, operator, self.energy_account.account())?;
        }

        let (mut state, bump) = self.meter_state.make(
            operator,
            &[STATE_SEED, &meter.meter_id],
            (OracleError::WrongAddress, OracleError::AlreadyOpen),
        )?;
        state.version = VERSION;
        state.bump = bump;
        state.generation = meter.generation;
        state.keys = meter.keys;
        state.meter = *meter.account().address();
        log(&MeterOpened { meter: state.meter, wallet: user.member });
        state.invariant()
    }
}
