//! Replace a meter's key: after a lost disk, or a gateway's exchange. The new key numbers its records anew, from wherever it says: so no
//! record that the old one signed stands in its way.

use {
    crate::{
        loaders::{raise_generation, require_not_closed},
        possession::{Claim, Enrolment},
    },
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Foreign, Fresh, Signatory, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM},
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::MeterKeyReplaced, KeyUse, Meter, Registry, RegistryError},
};

/// Accounts of replace_meter_key.
#[derive(Accounts)]
pub struct ReplaceMeterKey {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Registry.
    #[account(unsafe(dup))]
    pub registry: CheckedMut<Registry>,
    /// The Meter.
    #[account(unsafe(dup))]
    pub meter: CheckedMut<Meter>,
    /// The KeyUse to make, at [key, new public key].
    #[account(unsafe(dup))]
    pub key_use: Fresh<KeyUse>,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ RegistryError::WrongInstructionsSysvar)]
    pub instructions: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: Foreign,
}

impl ReplaceMeterKey {
    pub(crate) fn execute(&mut self, first_sequence: u32) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        let meter = &mut self.meter;
        require_not_closed(meter)?;
        let claim =
            Claim { network_id: &self.config.network_id, meter_id: &meter.meter_id, map_hash: &meter.map_hash, first_sequence };
        let enrolment =
            Enrolment { operator: self.operator.account(), instructions: self.instructions.account(), key_use: &self.key_use };
        let key = enrolment.take_key(&claim, &mut self.registry)?;
        log(&MeterKeyReplaced { meter_id: meter.meter_id, before: meter.key, after: key, first_sequence });
        meter.key = key;
        meter.first_sequence = first_sequence;
        meter.keys += 1;
        raise_generation(meter)
    }
}
