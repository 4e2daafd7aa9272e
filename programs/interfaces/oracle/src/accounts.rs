//! The oracle's accounts.

use {
    crate::OracleError,
    anchor_lang::prelude::*,
    campus_common::{
        units::{BillingPeriod, Epoch, MicroCredits, UnixTime, WattHours},
        CampusAccount, VERSION,
    },
};

/// Seed of the oracle's own address.
pub const ORACLE_SEED: &[u8] = b"oracle";
/// The oracle's own address: signs for minting and clearing, and holds the Oracle account.
pub const ORACLE_ADDRESS: Address = Address::derive_address_const(&[ORACLE_SEED], Some(ORACLE_BUMP), &crate::ID);
/// Bump of that address.
pub const ORACLE_BUMP: u8 = 252;
/// Seed of a MeterState, before the meter id.
pub const STATE_SEED: &[u8] = b"state";
/// Seed of an EnergyAccount, before the member (the wallet that it registered with).
pub const ENERGY_SEED: &[u8] = b"energy";
/// Seed of an EpochCheckpoint, before the epoch (u32, little-endian).
pub const EPOCH_SEED: &[u8] = b"epoch";

/// Campus-wide totals and the last checkpoint, one account at `[oracle]`, made with the first meter.
#[account]
pub struct Oracle {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// 1 once there is a checkpoint.
    pub has_checkpoint: u8,
    /// Zero.
    pub padding: [u8; 1],
    /// Epoch of the last checkpoint.
    pub last_epoch: Epoch,
    /// Size of the audit log at the last checkpoint.
    pub log_size: u64,
    /// Energy minted, ever.
    pub minted: WattHours,
    /// Energy withdrawn by all members, ever.
    pub withdrawn: WattHours,
    /// Spans settled, ever (baselines included).
    pub settlements: u64,
    /// Zero; for later versions.
    pub reserved: [u8; 64],
}

/// The last accepted reading of a meter, at `[state, meter_id]`; never closed.
#[account]
pub struct MeterState {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// The Meter's `generation` when it was last settled: where the Meter has another by now, the next settlement is a baseline.
    pub generation: u16,
    /// Sequence of the last accepted record; 0 before the first.
    pub sequence: u32,
    /// Address of the Meter in the registry.
    pub meter: Address,
    /// Interval end of the last accepted record; 0 before the first.
    pub interval_end: UnixTime,
    /// Its registers: generation, consumption, charge, discharge.
    pub registers: [WattHours; 4],
    /// Its hash: the first 16 bytes of SHA-256.
    pub hash: [u8; 16],
    /// Its flags.
    pub flags: u16,
    /// Flags of readings at or since the last settlement for which the next one credits nothing.
    pub doubt: u16,
    /// The Meter's `keys` when it was accepted: which key's numbering `sequence` belongs to.
    pub keys: u32,
    /// Its register epoch.
    pub register_epoch: u8,
    /// Zero.
    pub padding: [u8; 7],
    /// The boundary at which the meter was last settled; 0 before the first time.
    pub settled_end: UnixTime,
    /// The registers as last settled, before that as at the first reading, or as a reset left them since.
    pub settled: [WattHours; 4],
    /// What the registers had risen by since then when they were reset.
    pub carried: [WattHours; 4],
    /// Zero; for later versions.
    pub reserved: [u8; 32],
}

/// What a member's meters have settled, at `[energy, member]`.
#[account]
pub struct EnergyAccount {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// The period that `withdrawals_open` counts; `withdrawals_previous` counts the one before.
    pub period: BillingPeriod,
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// The last settled boundary; 0 before the first.
    pub boundary: UnixTime,
    /// The settling meters (slots of the User) that were settled there.
    pub settling_meters: u32,
    /// Zero.
    pub padding_2: [u8; 4],
    /// Renewable energy in storage that may still come out as renewable.
    pub bank: WattHours,
    /// Withdrawals in `period`.
    pub withdrawals_open: WattHours,
    /// Withdrawals in the period before.
    pub withdrawals_previous: WattHours,
    /// Minted, ever.
    pub minted: WattHours,
    /// Generated, ever (g of the settlement rule).
    pub generated: WattHours,
    /// Consumed, ever (c).
    pub consumed: WattHours,
    /// Charged into storage, ever (q).
    pub charged: WattHours,
    /// Discharged from storage, ever (d).
    pub discharged: WattHours,
    /// Withdrawn, ever.
    pub withdrawn: WattHours,
    /// Renewable surplus, ever (s): `minted` never exceeds it.
    pub surplus: WattHours,
    /// Zero; for later versions.
    pub reserved: [u8; 64],
}

/// What an epoch came to, at `[epoch, n]`: pins the audit log to the chain.
#[account]
pub struct EpochCheckpoint {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// The epoch.
    pub epoch: Epoch,
    /// Leaves in the audit log.
    pub log_size: u64,
    /// The log's root (RFC 6962) at that size.
    pub log_root: [u8; 32],
    /// SHA-256 of the epoch's final order book; zero where it had none.
    pub book_hash: [u8; 32],
    /// Energy minted until now, ever.
    pub minted: WattHours,
    /// Supply of energy tokens now; `minted` less it is what was retired.
    pub energy_supply: WattHours,
    /// Supply of campus credits now.
    pub credit_supply: MicroCredits,
    /// Energy withdrawn by all members until now, ever.
    pub withdrawn: WattHours,
    /// Spans settled until now.
    pub settlements: u64,
    /// The cluster's time as seen.
    pub time: UnixTime,
    /// The cluster's slot as seen.
    pub slot: u64,
    /// Zero; for later versions.
    pub reserved: [u8; 32],
}

/// Flags of a reading that is no sound measurement: estimated, tamper, data doubtful. It is kept and its consumption is booked; neither the
/// span that it ends nor the one that it begins credits anything.
pub const DOUBTFUL_FLAGS: u16 = 1 << 0 | 1 << 4 | 1 << 8;

impl CampusAccount for Oracle {
    type Refusal = OracleError;
    const NOT_THIS: OracleError = OracleError::OracleNotOpen;
    const GIVEN_TWICE: OracleError = OracleError::GivenTwice;
    const PLACE: Option<(Address, OracleError)> = Some((ORACLE_ADDRESS, OracleError::WrongOracle));
    const PLACE_TEXT: Option<&'static str> = Some("F2yqj6LKCFnBYFH41fyrigcQjzmUc4C4wPT9bFi4zrBv");

    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.bump != ORACLE_BUMP || self.has_checkpoint > 1 {
            return Err(OracleError::OracleInvariant.into());
        }
        Ok(())
    }
}

impl CampusAccount for MeterState {
    type Refusal = OracleError;
    const NOT_THIS: OracleError = OracleError::NotAMeterState;
    const GIVEN_TWICE: OracleError = OracleError::GivenTwice;

    /// Nothing is settled that was not read.
    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        let mut holds = self.version == VERSION && self.settled_end <= self.interval_end && self.interval_end.0 >= 0;
        if self.settled_end.0 != 0 {
            for (settled, read) in self.settled.iter().zip(&self.registers) {
                holds &= settled <= read;
            }
        }
        if !holds {
            return Err(OracleError::MeterStateInvariant.into());
        }
        Ok(())
    }
}

impl CampusAccount for EnergyAccount {
    type Refusal = OracleError;
    const NOT_THIS: OracleError = OracleError::NotAnEnergyAccount;
    const GIVEN_TWICE: OracleError = OracleError::GivenTwice;

    /// No more was ever minted than renewable surplus was measured, and what is banked besides was surplus too.
    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        let Some(credited) = self.minted.checked_add(self.bank) else {
            return Err(OracleError::EnergyAccountInvariant.into());
        };
        let Some(withdrawn) = self.withdrawals_open.checked_add(self.withdrawals_previous) else {
            return Err(OracleError::EnergyAccountInvariant.into());
        };
        if self.version != VERSION || credited > self.surplus || withdrawn > self.withdrawn {
            return Err(OracleError::EnergyAccountInvariant.into());
        }
        Ok(())
    }
}

impl EnergyAccount {
    /// Withdrawals of the given billing period, as seen while `open` is the open one.
    #[inline(always)]
    pub fn withdrawals(&self, period: BillingPeriod) -> WattHours {
        if period == self.period {
            self.withdrawals_open
        } else if period.0.wrapping_add(1) == self.period.0 {
            self.withdrawals_previous
        } else {
            WattHours::ZERO
        }
    }
}

impl CampusAccount for EpochCheckpoint {
    type Refusal = OracleError;
    const NOT_THIS: OracleError = OracleError::WrongAddress;
    const GIVEN_TWICE: OracleError = OracleError::GivenTwice;

    /// Holds from birth; a checkpoint never changes.
    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        if self.version != VERSION || self.energy_supply > self.minted {
            return Err(OracleError::CheckpointInvariant.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idl_names_the_oracles_address() {
        assert_eq!(Oracle::PLACE_TEXT.map(Address::from_str_const), Some(ORACLE_ADDRESS));
    }

    #[test]
    fn the_bumps_are_the_canonical_ones() {
        for (seed, bump, address) in [(ORACLE_SEED, ORACLE_BUMP, ORACLE_ADDRESS)] {
            assert_eq!(Address::find_program_address(&[seed], &crate::ID), (address, bump));
        }
    }
}
