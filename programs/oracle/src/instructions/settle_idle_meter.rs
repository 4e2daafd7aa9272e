//! Settle a meter that takes no part any more, alone: what it drew since its last settlement is withdrawn, nothing is credited. So a suspended or
//! closed meter leaves nothing unbilled, and can be given to another member.

use {
    super::settle_surplus::{book_withdrawal, is_known, mark_settled},
    crate::settlement::drawn,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{events::IdleMeterSettled, EnergyAccount, MeterState, Oracle, OracleError},
    registry_interface::{Meter, User},
};

/// Accounts of settle_idle_meter.
#[derive(Accounts)]
pub struct SettleIdleMeter {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Oracle account.
    #[account(unsafe(dup))]
    pub oracle: CheckedMut<Oracle>,
    /// The meter's User.
    pub user: Checked<User>,
    /// The member's EnergyAccount.
    #[account(unsafe(dup))]
    pub energy_account: CheckedMut<EnergyAccount>,
    /// The Meter, suspended or closed.
    pub meter: Checked<Meter>,
    /// The meter's MeterState.
    #[account(unsafe(dup))]
    pub meter_state: CheckedMut<MeterState>,
}

impl SettleIdleMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::SETTLEMENT)?;
        let (meter, state, account) = (&self.meter, &mut self.meter_state, &mut self.energy_account);
        if !address_eq(&meter.user, &self.user.member) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        if !address_eq(&state.meter, meter.account().address()) {
            return Err(OracleError::StateOfAnotherMeter.into());
        }
        if !address_eq(&account.wallet, &self.user.member) {
            return Err(OracleError::WalletMismatch.into());
        }
        if !meter.role.get().is_some_and(|role| role.settles()) {
            return Err(OracleError::MeterNotSettling.into());
        }
        if meter.is_active() {
            return Err(OracleError::MeterIsActive.into());
        }
        if state.interval_end.0 == 0 {
            return Err(OracleError::NoReading.into());
        }
        if state.settled_end == state.interval_end {
            return Err(OracleError::BoundaryNotRising.into());
        }
        let withdrawn = if is_known(state, meter) { drawn(state) } else { Default::default() };
        let from = state.settled_end;
        let period = book_withdrawal(config, account, state.interval_end, withdrawn)?;
        self.oracle.withdrawn = self.oracle.withdrawn.checked_add(withdrawn).ok_or(OracleError::EnergyOverflow)?;
        mark_settled(state, meter);
        log(&IdleMeterSettled {
            meter: state.meter,
            wallet: account.wallet,
            from,
            to: state.settled_end,
            withdrawn,
            period,
            padding: [0; 4],
        });
        Ok(())
    }
}
