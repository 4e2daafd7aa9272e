//! Go on from other registers, after a meter's reset or exchange: by a record that the meter's key signed and that says so.

use {
    super::submit_readings::{record_reading, rules, verified_frames},
    crate::record::{SignedRecord, FLAG_REGISTER_RESET, FRAME},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::UnixTime, Signatory, INSTRUCTIONS_SYSVAR},
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::{events::MeterRebased, MeterState, OracleError},
    registry_interface::Meter,
};

/// Accounts of rebase_meter.
#[derive(Accounts)]
pub struct RebaseMeter {
    /// The operator.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ OracleError::WrongInstructionsSysvar)]
    pub instructions: UncheckedAccount,
    /// The Meter.
    pub meter: UncheckedAccount,
    /// The meter's MeterState.
    #[account(mut)]
    pub meter_state: UncheckedAccount,
}

impl RebaseMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = Config::load(self.config.account())?;
        config.require_operator(self.operator.account())?;
        config.require_running(Pause::READINGS)?;
        let frames = verified_frames(self.instructions.account(), 1)?;
        let ([frame], _) = frames.as_chunks::<FRAME>() else {
            return Err(OracleError::SignatureTable.into());
        };
        let meter = Meter::load(self.meter.account())?;
        let state = MeterState::load_mut(self.meter_state.account())?;
        if !address_eq(&state.meter, self.meter.account().address()) {
            return Err(OracleError::StateOfAnotherMeter.into());
        }
        let record = SignedRecord::from_frame(frame);
        record.check_self(meter, &rules(config)?)?;
        record.check_order(meter, state)?;
        if record.flags & FLAG_REGISTER_RESET == 0 || state.interval_end.0 == 0 {
            return Err(OracleError::NotARebase.into());
        }
        if record.register_epoch.wrapping_sub(state.register_epoch) != 1 {
            return Err(OracleError::RegisterEpoch.into());
        }
        let before = state.registers;
        // Nothing between the last settlement and the reset is credited: the next settlement is a baseline.
        state.settled_end = UnixTime(0);
        state.generation = meter.generation;
        record_reading(state, &record, frame);
        log(&MeterRebased {
            meter: state.meter,
            interval_end: state.interval_end,
            before,
            after: state.registers,
            sequence: state.sequence,
            register_epoch: state.register_epoch as u32,
        });
        state.invariant()
    }
}
