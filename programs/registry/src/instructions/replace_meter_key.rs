//! Replace a meter's key: after a lost disk, or a gateway's exchange.

use {
    crate::{
        loaders::{config_by_operator, raise_generation, require_not_closed},
        possession::{proven_key, Claim},
    },
    anchor_lang::{address_eq, prelude::*},
    campus_common::{create, load, log, now, Signatory, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM, VERSION},
    governance_interface::{GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::MeterState,
    registry_interface::{events::MeterKeyReplaced, KeyUse, Meter, Registry, RegistryError, KEY_SEED, REGISTRY_ADDRESS},
};

/// Accounts of replace_meter_key.
#[derive(Accounts)]
pub struct ReplaceMeterKey {
    /// The operator, who pays the rent.
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Registry.
    #[account(mut, address = REGISTRY_ADDRESS @ RegistryError::WrongRegistry)]
    pub registry: UncheckedAccount,
    /// The Meter.
    #[account(mut)]
    pub meter: UncheckedAccount,
    /// The meter's MeterState of the oracle.
    pub meter_state: UncheckedAccount,
    /// The KeyUse to make, at [key, new public key].
    #[account(mut)]
    pub key_use: UncheckedAccount,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ RegistryError::WrongInstructionsSysvar)]
    pub instructions: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl ReplaceMeterKey {
    pub(crate) fn execute(&mut self, first_sequence: u32) -> Result<()> {
        let config = config_by_operator(&self.config, &self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let registry = Registry::load_mut(self.registry.account())?;
        let meter = Meter::load_mut(self.meter.account())?;
        require_not_closed(meter)?;
        let state: &MeterState = load(self.meter_state.account(), RegistryError::WrongOracleAccount)?;
        if !address_eq(&state.meter, self.meter.account().address()) {
            return Err(RegistryError::WrongOracleAccount.into());
        }
        if first_sequence <= state.sequence {
            return Err(RegistryError::FirstSequenceTooLow.into());
        }
        let claim =
            Claim { network_id: &config.network_id, meter_id: &meter.meter_id, map_hash: &meter.map_hash, first_sequence };
        let key = proven_key(self.instructions.account(), &claim)?;
        let (key_use, bump) = create::<KeyUse>(
            self.operator.account(),
            self.key_use.account(),
            &[KEY_SEED, &key],
            (RegistryError::WrongAddress, RegistryError::KeyUsedBefore),
        )?;
        key_use.version = VERSION;
        key_use.bump = bump;
        key_use.meter_id = meter.meter_id;
        key_use.since = now()?;
        log(&MeterKeyReplaced { meter_id: meter.meter_id, before: meter.key, after: key, first_sequence });
        meter.key = key;
        meter.first_sequence = first_sequence;
        raise_generation(meter)?;
        registry.keys += 1;
        key_use.invariant()?;
        meter.invariant()?;
        registry.invariant()
    }
}
