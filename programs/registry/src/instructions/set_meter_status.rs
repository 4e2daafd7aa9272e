//! Suspend, reactivate or close a meter.

use {
    crate::loaders::{kinds_of, next_status, raise_generation},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator},
    registry_interface::{events::MeterStatusChanged, Meter, RegistryError, Status, User},
};

/// Accounts of set_meter_status.
#[derive(Accounts)]
pub struct SetMeterStatus {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The meter's User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
    /// The Meter.
    #[account(unsafe(dup))]
    pub meter: CheckedMut<Meter>,
}

impl SetMeterStatus {
    pub(crate) fn execute(&mut self, status: u8) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        let (meter, user) = (&mut self.meter, &mut self.user);
        if !address_eq(&meter.user, &user.member) {
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
        log(&MeterStatusChanged { meter_id: meter.meter_id, before: meter.status, after: status.into() });
        meter.status = status.into();
        raise_generation(meter)
    }
}
