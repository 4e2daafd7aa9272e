//! Approve another map for a meter.

use {
    crate::loaders::{raise_generation, require_not_closed},
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator},
    registry_interface::{events::MeterMapChanged, Meter},
};

/// Accounts of set_meter_map.
#[derive(Accounts)]
pub struct SetMeterMap {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Meter.
    #[account(unsafe(dup))]
    pub meter: CheckedMut<Meter>,
}

impl SetMeterMap {
    pub(crate) fn execute(&mut self, map_hash: [u8; 32]) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        let meter = &mut self.meter;
        require_not_closed(meter)?;
        log(&MeterMapChanged { meter_id: meter.meter_id, before: meter.map_hash, after: map_hash });
        meter.map_hash = map_hash;
        raise_generation(meter)
    }
}
