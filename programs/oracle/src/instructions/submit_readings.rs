//! Accept meter-signed readings: the operator carries them, only the meters can make them.
//!
//! The operator's signature is the department's word that a reading passed its checks: one that it holds back or has voided is carried by nobody
//! else, and nobody skips a boundary by carrying a later reading first.

use {
    super::settle_surplus::{is_known, mark_settled},
    crate::record::{Rules, SignedRecord, FLAG_REGISTER_RESET, FRAME, RECORD},
    anchor_lang::{address_eq, prelude::*, TryAccounts},
    campus_common::{
        borrow, borrow_known, borrow_mut,
        ed25519::{preceding_frames, Fault, MAX_SIGNATURES},
        log, now, CampusAccount, Checked, Foreign, Further, Next, Signatory, INSTRUCTIONS_SYSVAR,
    },
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{events::ReadingAccepted, MeterState, OracleError, DOUBTFUL_FLAGS},
    registry_interface::Meter,
};

/// Accounts of submit_readings; then, for each reading, Meter and MeterState (writable).
#[derive(Accounts)]
pub struct SubmitReadings {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ OracleError::WrongInstructionsSysvar)]
    pub instructions: Foreign,
}

/// The frames that the precompile verified just before: `count` of them.
pub(crate) fn verified_frames(sysvar: &AccountView, count: usize) -> Result<&[u8]> {
    preceding_frames(sysvar, &oracle_interface::ID, count, RECORD).map_err(|fault| {
        match fault {
            Fault::ThroughCpi => OracleError::ThroughCpi,
            Fault::Missing => OracleError::SignaturesMissing,
            Fault::Program => OracleError::NotEd25519Program,
            Fault::NoSignatures => OracleError::NoSignatures,
            Fault::Count => OracleError::SignatureCount,
            Fault::Length => OracleError::SignatureTable,
            Fault::SignatureIndex => OracleError::SignatureInstructionIndex,
            Fault::KeyIndex => OracleError::KeyInstructionIndex,
            Fault::MessageIndex => OracleError::MessageInstructionIndex,
            Fault::MessageOffset => OracleError::MessageOffset,
            Fault::MessageSize => OracleError::MessageSize,
            Fault::KeyOffset => OracleError::KeyOffset,
            Fault::SignatureOffset => OracleError::SignatureOffset,
        }
        .into()
    })
}

/// The rules of the moment.
#[inline(always)]
pub(crate) fn rules(config: &Config) -> Result<Rules> {
    let now = now()?;
    let parameters = config.parameters(config.epoch(now));
    Ok(Rules {
        network_id: config.network_id,
        epoch_seconds: config.epoch_seconds,
        latest: now.plus(parameters.clock_skew_seconds),
        tolerance: parameters.nameplate_tolerance_bps,
    })
}

impl SubmitReadings {
    /// The accounts behind the declared ones.
    #[inline(always)]
    fn further(&self) -> Result<Further> {
        // SAFETY: the Config, the only one between them, is at its own address.
        unsafe {
            Further::after(self.operator.account(), [], self.instructions.account(), Self::HEADER_SIZE, OracleError::GivenTwice)
        }
    }
}

pub(crate) fn execute(ctx: &mut Context<SubmitReadings>) -> Result<()> {
    let mut further = ctx.accounts.further()?;
    let config: &Config = &ctx.accounts.config;
    config.require_operator(&ctx.accounts.operator)?;
    config.require_running(Pause::READINGS)?;
    if further.left() % 2 != 0 {
        return Err(OracleError::AccountsNotPaired.into());
    }
    let frames = verified_frames(ctx.accounts.instructions.account(), further.left() / 2)?;
    let rules = rules(config)?;
    let (frames, _) = frames.as_chunks::<FRAME>();
    let mut places = [*ctx.accounts.operator.account(); 2 * MAX_SIGNATURES];
    for (n, frame) in frames.iter().enumerate() {
        for place in [2 * n, 2 * n + 1] {
            let Some(next) = further.next() else {
                return Err(OracleError::AccountsNotPaired.into());
            };
            places[place] = match next {
                Next::Account(view) => view,
                // One meter may come several times, in order; the declared accounts are none.
                Next::Again(earlier) => *earlier
                    .checked_sub(SubmitReadings::HEADER_SIZE)
                    .and_then(|earlier| places[..place].get(earlier))
                    .ok_or(OracleError::GivenTwice)?,
            };
        }
        accept(&places[2 * n], &places[2 * n + 1], frame, &rules)?;
    }
    Ok(())
}

/// Accept one reading.
#[inline(always)]
fn accept(meter_view: &AccountView, state_view: &AccountView, frame: &[u8; FRAME], rules: &Rules) -> Result<()> {
    let state: &mut MeterState = &mut *borrow_mut(state_view)?;
    let meter = meter_of(state, meter_view)?;
    let record = SignedRecord::from_frame(frame);
    record.check_self(meter, rules)?;
    if record.flags & FLAG_REGISTER_RESET != 0 {
        return Err(OracleError::NeedsRebase.into());
    }
    record.check_order(meter, state, rules)?;
    let first = state.interval_end.0 == 0;
    if !first {
        if record.register_epoch.wrapping_sub(state.register_epoch) > 1 {
            return Err(OracleError::RegisterEpoch.into());
        }
        record.check_steps(meter, state, rules)?;
    }
    record_reading(state, meter, record, frame);
    if first {
        // From here on, what the meter draws is its member's, whenever it is settled first.
        state.settled = state.registers;
    }
    let baseline = state.settled_end.0 == 0 || state.generation != meter.generation;
    if baseline {
        begin_with_user(state, meter);
    }
    log(&ReadingAccepted {
        meter: state.meter,
        interval_end: state.interval_end,
        registers: state.registers,
        sequence: state.sequence,
        flags: state.flags,
        baseline: baseline as u16,
    });
    state.invariant()
}

/// The Meter that the state belongs to: at its address there is a Meter for ever, as open_meter saw when it made the state.
#[inline(always)]
pub(crate) fn meter_of<'a>(state: &MeterState, view: &'a AccountView) -> Result<&'a Meter> {
    if !address_eq(&state.meter, view.address()) {
        borrow::<Meter>(view)?;
        return Err(OracleError::StateOfAnotherMeter.into());
    }
    borrow_known(view)
}

/// Where the meter's user got it after a long silence, have the first reading since mark where that user's registers begin.
#[inline(always)]
pub(crate) fn begin_with_user(state: &mut MeterState, meter: &Meter) {
    if !is_known(state, meter) {
        mark_settled(state, meter);
    }
}

/// Move the state on to this record.
#[inline(always)]
pub(crate) fn record_reading(state: &mut MeterState, meter: &Meter, record: &SignedRecord, frame: &[u8; FRAME]) {
    state.keys = meter.keys;
    state.sequence = record.sequence;
    state.interval_end = record.interval_end;
    state.registers = record.registers;
    state.hash = SignedRecord::hash(frame);
    state.flags = record.flags;
    state.doubt |= record.flags & (DOUBTFUL_FLAGS | FLAG_REGISTER_RESET);
    state.register_epoch = record.register_epoch;
}
