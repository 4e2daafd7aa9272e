//! Suspend, reactivate or close a meter.

use {
    crate::loaders::{config_by_operator, kinds_of, next_status, raise_generation},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Signatory},
    governance_interface::{GovernanceError, CONFIG_ADDRESS},
    registry_interface::{events::MeterStatusChanged, Meter, RegistryError, Status, User},
};

/// Accounts of set_meter_status.
#[derive(Accounts)]
pub struct SetMeterStatus {
    /// The operator.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The meter's User.
    #[account(mut)]
    pub user: UncheckedAccount,
    /// The Meter.
    #[account(mut)]
    pub meter: UncheckedAccount,
}

impl SetMeterStatus {
    pub(crate) fn execute(&mut self, status: u8) -> Result<()> {
        config_by_operator(&self.config, &self.operator)?;
        let meter = Meter::load_mut(self.meter.account())?;
        let user = User::load_mut(self.user.account())?;
        if !address_eq(&meter.user, &user.wallet) {
            return Err(RegistryError::MeterOfAnother.into());
        }
        let status = next_status(meter.status, status)?;
        let (role, source) = kinds_of(meter)?;
        if meter.is_active() {
            user.remove_meter(role, source, meter.slot)?;
            meter.slot = Meter::NO_SLOT;
        }
        if status == Status::Active {
            if !user.is_active() {
                return Err(RegistryError::MeterOfInactiveUser.into());
            }
            meter.slot = user.add_meter(role, source)?;
        }
        log(&MeterStatusChanged { meter_id: meter.meter_id, before: meter.status, after: status as u8 });
        meter.status = status as u8;
        raise_generation(meter)?;
        meter.invariant()?;
        user.invariant()
    }
}
