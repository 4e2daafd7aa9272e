//! The signed reading AMR1 as the chain sees it: its bytes, and the rules that it must keep.

use {
    anchor_lang::bytemuck::{self, Pod, Zeroable},
    campus_common::{
        ed25519::{KEY, SIGNATURE},
        units::{BasisPoints, Epoch, Seconds, UnixTime, WattHours},
    },
    oracle_interface::{MeterState, OracleError},
    registry_interface::{Meter, MeterRole, StoredSource},
};

/// Length of a record.
pub const RECORD: usize = 96;
/// Length of a frame: record, key, signature.
pub const FRAME: usize = RECORD + KEY + SIGNATURE;
/// `AMR1`, little-endian.
const MAGIC: u32 = u32::from_le_bytes(*b"AMR1");
/// Flags with a meaning: bits 0 to 8.
const KNOWN_FLAGS: u16 = (1 << 9) - 1;
/// Flag: the registers were reset.
pub const FLAG_REGISTER_RESET: u16 = 1 << 6;
/// No step of any register is ever above this (10^12 Wh): the sums of a settlement fit u64.
const GREATEST_STEP: u64 = 1_000_000_000_000;
/// Records that a key may have signed beyond one an epoch, between two that are accepted: a clock set back lets a gateway sign boundaries twice,
/// of which the chain takes one. Too few to bring a sequence near its end: that takes thousands of years.
const SPARE_SEQUENCES: u64 = 16;
/// Records that a key may have signed before the first that is accepted: a year of 15-minute epochs.
const MOST_BEFORE_THE_FIRST: u32 = 366 * 96;
/// Indexes of the registers.
pub const GENERATION: usize = 0;
pub const CONSUMPTION: usize = 1;
pub const CHARGE: usize = 2;
pub const DISCHARGE: usize = 3;

/// A record with the key that signed it, as they lie in a frame, at any address. docs/PROTOCOL.md has the offsets.
#[derive(Clone, Copy, Pod, Zeroable)]
#[bytemuck(crate = "anchor_lang::bytemuck")]
#[repr(C, packed)]
pub struct SignedRecord {
    pub magic: u32,
    pub sequence: u32,
    pub network_id: [u8; 8],
    pub interval_end: UnixTime,
    pub registers: [WattHours; 4],
    pub interval_seconds: u16,
    pub source: StoredSource,
    pub register_epoch: u8,
    pub clock_deviation: i16,
    pub flags: u16,
    pub previous_hash: [u8; 16],
    pub evidence: [u8; 16],
    pub key: [u8; 32],
}

const _: () = assert!(core::mem::size_of::<SignedRecord>() == RECORD + KEY);

/// What a record is checked against besides its meter.
pub struct Rules {
    pub network_id: [u8; 8],
    pub epoch_seconds: Seconds,
    /// Latest interval end: the cluster's time plus the permitted skew.
    pub latest: UnixTime,
    pub tolerance: BasisPoints,
}

impl SignedRecord {
    /// Record and key in a frame.
    #[inline(always)]
    pub fn from_frame(frame: &[u8; FRAME]) -> &Self {
        bytemuck::from_bytes(&frame[..RECORD + KEY])
    }

    /// SHA-256 of the record's 96 bytes, truncated to 16.
    #[inline(always)]
    pub fn hash(frame: &[u8; FRAME]) -> [u8; 16] {
        let digest = anchor_lang::sha256(&frame[..RECORD]);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    /// What holds of every record of this meter, whatever came before. Cheap refusals first.
    #[inline(always)]
    pub fn check_self(&self, meter: &Meter, rules: &Rules) -> Result<(), OracleError> {
        use OracleError as E;
        if self.magic != MAGIC {
            return Err(E::RecordMagic);
        }
        if self.key != meter.key {
            return Err(E::WrongKey);
        }
        if self.network_id != rules.network_id {
            return Err(E::RecordNetwork);
        }
        if !meter.is_active() {
            return Err(E::MeterNotActive);
        }
        if self.source != meter.source {
            return Err(E::SourceMismatch);
        }
        if self.flags & !KNOWN_FLAGS != 0 {
            return Err(E::UnknownFlags);
        }
        let interval_end = self.interval_end;
        if !interval_end.is_boundary(rules.epoch_seconds) {
            return Err(E::IntervalNotAligned);
        }
        if interval_end > rules.latest {
            return Err(E::IntervalInFuture);
        }
        Ok(())
    }

    /// Order: interval end, sequence, and the chain of hashes. Each key numbers its own records, one an epoch.
    #[inline(always)]
    pub fn check_order(&self, meter: &Meter, state: &MeterState, rules: &Rules) -> Result<(), OracleError> {
        use OracleError as E;
        if self.sequence < meter.first_sequence {
            return Err(E::SequenceBelowFirst);
        }
        if state.interval_end.0 == 0 {
            if self.sequence - meter.first_sequence > MOST_BEFORE_THE_FIRST {
                return Err(E::SequenceTooFar);
            }
            return Ok(());
        }
        // The registry admits no first sequence of 0.
        let same_key = state.keys == meter.keys;
        let last = if same_key { state.sequence } else { meter.first_sequence - 1 };
        if self.sequence <= last {
            return Err(E::SequenceNotRising);
        }
        let interval_end = self.interval_end;
        if interval_end <= state.interval_end {
            return Err(E::IntervalNotRising);
        }
        let step = self.sequence - last;
        // A key's first record has no predecessor; after a voided record there is a gap, which only the log asks to explain.
        if step == 1 {
            if same_key && self.previous_hash != state.hash {
                return Err(E::PreviousHash);
            }
            return Ok(());
        }
        let epochs = (interval_end.0 - state.interval_end.0) as u64 / rules.epoch_seconds.0 as u64;
        if step as u64 > epochs + SPARE_SEQUENCES {
            return Err(E::SequenceTooFar);
        }
        Ok(())
    }

    /// The registers' steps since the last accepted reading: never down, only in the meter's role, within nameplate and storage.
    #[inline(always)]
    pub fn check_steps(&self, meter: &Meter, state: &MeterState, rules: &Rules) -> Result<(), OracleError> {
        use OracleError as E;
        let Some(role) = meter.role.get() else {
            return Err(E::RegisterNotPermitted);
        };
        let tolerance = rules.tolerance;
        let (nameplate, storage) = if meter.staged_from.0 == 0 {
            (meter.nameplate, meter.storage)
        } else {
            let from = state.interval_end.epoch(rules.epoch_seconds);
            let to = { self.interval_end }.epoch(rules.epoch_seconds);
            meter.size(from, Epoch(to.0 - 1))
        };
        let elapsed = (self.interval_end.0 - state.interval_end.0) as u64;
        let limit = step_limit(nameplate.0, elapsed, tolerance);
        let permitted = role.registers();
        let mut steps = [0u64; 4];
        for (index, step) in steps.iter_mut().enumerate() {
            let (now, before) = (self.registers[index].0, state.registers[index].0);
            if now == before {
                continue;
            }
            if now < before {
                return Err(E::RegisterDecreased);
            }
            if permitted & (1 << index) == 0 {
                return Err(E::RegisterNotPermitted);
            }
            *step = now - before;
            // A building draws more than its own plant's nameplate; a greater consumption mints nothing.
            let limit = if index == CONSUMPTION && matches!(role, MeterRole::Building) { GREATEST_STEP } else { limit };
            if *step > limit {
                return Err(E::ExceedsNameplate);
            }
        }
        let (charge, discharge) = (steps[CHARGE], steps[DISCHARGE]);
        if charge | discharge != 0 && matches!(role, MeterRole::Storage | MeterRole::Building) {
            let storage = storage.0 + tolerance.of_energy(storage).0 + 1;
            // What came out was in it or went in; what went in came out, was lost (at most half), or is in it.
            if discharge > charge + storage || charge > 2 * (discharge + storage) {
                return Err(E::ExceedsStorage);
            }
        }
        Ok(())
    }
}

/// Greatest energy in Wh that passes a nameplate of `watts` in `seconds`, with tolerance; 1 Wh more, as registers are rounded down.
///
/// watts <= 10^8, so the product with a u32 of seconds stays below 2^59 and, after the division by 3,600, times 20,000 below 2^62.
#[inline(always)]
fn step_limit(watts: u32, seconds: u64, tolerance: BasisPoints) -> u64 {
    let seconds = if seconds > u32::MAX as u64 { u32::MAX as u64 } else { seconds };
    let limit = watts as u64 * seconds / 3_600 * (10_000 + tolerance.0 as u64) / 10_000 + 1;
    if limit > GREATEST_STEP {
        GREATEST_STEP
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameplate_bounds_energy_by_time() {
        assert_eq!(step_limit(10_000, 900, BasisPoints(0)), 2_501);
        assert_eq!(step_limit(10_000, 900, BasisPoints(1_000)), 2_751);
        assert_eq!(step_limit(1, 900, BasisPoints(0)), 1);
        assert_eq!(step_limit(100_000_000, u64::MAX, BasisPoints(10_000)), GREATEST_STEP);
    }
}
