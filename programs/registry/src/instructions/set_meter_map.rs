//! Approve another map for a meter.

use {
    crate::loaders::{config_by_operator, raise_generation, require_not_closed},
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    governance_interface::{GovernanceError, CONFIG_ADDRESS},
    registry_interface::{events::MeterMapChanged, Meter},
};

/// Accounts of set_meter_map.
#[derive(Accounts)]
pub struct SetMeterMap {
    /// The operator.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Meter.
    #[account(mut)]
    pub meter: UncheckedAccount,
}

impl SetMeterMap {
    pub(crate) fn execute(&mut self, map_hash: [u8; 32]) -> Result<()> {
        config_by_operator(&self.config, &self.operator)?;
        let meter = Meter::load_mut(self.meter.account())?;
        require_not_closed(meter)?;
        log(&MeterMapChanged { meter_id: meter.meter_id, before: meter.map_hash, after: map_hash });
        meter.map_hash = map_hash;
        raise_generation(meter)?;
        meter.invariant()
    }
}
