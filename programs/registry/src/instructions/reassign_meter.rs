//! Give a meter to another member, at a boundary up to which everything it measured is settled.

use {
    crate::loaders::{config_by_operator, kinds_of, raise_generation, require_not_closed},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{load, log, Signatory},
    governance_interface::{GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::{EnergyAccount, MeterState},
    registry_interface::{events::MeterReassigned, Meter, RegistryError, User},
};

/// Accounts of reassign_meter.
#[derive(Accounts)]
pub struct ReassignMeter {
    /// The operator.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Meter.
    #[account(mut)]
    pub meter: UncheckedAccount,
    /// The User whose meter it is.
    #[account(mut)]
    pub from_user: UncheckedAccount,
    /// The User whose meter it becomes.
    #[account(mut)]
    pub to_user: UncheckedAccount,
    /// The meter's MeterState of the oracle.
    pub meter_state: UncheckedAccount,
    /// The EnergyAccount of the user whose meter it is.
    pub energy_account: UncheckedAccount,
}

impl ReassignMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = config_by_operator(&self.config, &self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let meter = Meter::load_mut(self.meter.account())?;
        require_not_closed(meter)?;
        let from = User::load_mut(self.from_user.account())?;
        let to = User::load_mut(self.to_user.account())?;
        if !address_eq(&meter.user, &from.wallet) {
            return Err(RegistryError::MeterOfAnother.into());
        }
        to.require_active()?;
        let state: &MeterState = load(self.meter_state.account(), RegistryError::WrongOracleAccount)?;
        let account: &EnergyAccount = load(self.energy_account.account(), RegistryError::WrongOracleAccount)?;
        if !address_eq(&state.meter, self.meter.account().address()) || !address_eq(&account.wallet, &from.wallet) {
            return Err(RegistryError::WrongOracleAccount.into());
        }
        let (role, source) = kinds_of(meter)?;
        if meter.is_active() {
            let unread = state.interval_end.0 == 0;
            let settled = state.settled_end == state.interval_end && state.settled_end == account.boundary;
            if role.settles() && !unread && !settled {
                return Err(RegistryError::NotAtSettledBoundary.into());
            }
            from.remove_meter(role, source, meter.slot)?;
            meter.slot = to.add_meter(role, source)?;
        }
        log(&MeterReassigned { meter_id: meter.meter_id, before: from.wallet, after: to.wallet, boundary: state.settled_end });
        meter.user = to.wallet;
        raise_generation(meter)?;
        meter.invariant()?;
        from.invariant()?;
        to.invariant()
    }
}
