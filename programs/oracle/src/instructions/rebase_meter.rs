//! Go on from other registers, after a meter's reset or exchange: by a record that the meter's key signed and that says so.

use {
    super::submit_readings::{begin_with_user, record_reading, rules, verified_frames},
    crate::record::{SignedRecord, FLAG_REGISTER_RESET, FRAME},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, Checked, CheckedMut, Foreign, Signatory, INSTRUCTIONS_SYSVAR},
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{events::MeterRebased, MeterState, OracleError},
    registry_interface::Meter,
};

/// Accounts of rebase_meter.
#[derive(Accounts)]
pub struct RebaseMeter {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ OracleError::WrongInstructionsSysvar)]
    pub instructions: Foreign,
    /// The Meter.
    pub meter: Checked<Meter>,
    /// The meter's MeterState.
    #[account(unsafe(dup))]
    pub meter_state: CheckedMut<MeterState>,
}

impl RebaseMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::READINGS)?;
        let frames = verified_frames(self.instructions.account(), 1)?;
        let ([frame], _) = frames.as_chunks::<FRAME>() else {
            return Err(OracleError::SignatureTable.into());
        };
        let (meter, state) = (&self.meter, &mut self.meter_state);
        if !address_eq(&state.meter, meter.account().address()) {
            return Err(OracleError::StateOfAnotherMeter.into());
        }
        let record = SignedRecord::from_frame(frame);
        let rules = rules(config)?;
        record.check_self(meter, &rules)?;
        record.check_order(meter, state, &rules)?;
        if record.flags & FLAG_REGISTER_RESET == 0 || state.interval_end.0 == 0 {
            return Err(OracleError::NotARebase.into());
        }
        if record.register_epoch.wrapping_sub(state.register_epoch) != 1 {
            return Err(OracleError::RegisterEpoch.into());
        }
        let before = state.registers;
        // What the old registers rose by is kept for the next settlement, which books it and credits nothing: what flowed between the last
        // reading and the reset is unknown.
        for index in 0..before.len() {
            let risen = before[index].saturating_sub(state.settled[index]);
            state.carried[index] = state.carried[index].saturating_add(risen);
        }
        record_reading(state, meter, record, frame);
        state.settled = state.registers;
        begin_with_user(state, meter);
        log(&MeterRebased {
            meter: state.meter,
            interval_end: state.interval_end,
            before,
            after: state.registers,
            sequence: state.sequence,
            register_epoch: state.register_epoch as u32,
        });
        Ok(())
    }
}
