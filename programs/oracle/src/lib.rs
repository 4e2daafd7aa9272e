//! # Oracle: from a meter's signature to a token
//!
//! **Purpose.** Checks meter-signed readings on the chain, keeps each meter's last accepted one, settles a member's meters together into a
//! renewable surplus and has it minted, has the market cleared at the end of an epoch, and pins the audit log.
//!
//! **Accounts.** Oracle `[oracle]`: campus totals, and the address that signs for minting and clearing. MeterState `[state, meter_id]`: the
//! last accepted reading, and the registers as last settled. EnergyAccount `[energy, member]`: the last settled boundary, the renewable bank,
//! lifetime totals, withdrawals of two billing periods. EpochCheckpoint `[epoch, n]`.
//!
//! **Threats.**
//! - *A forged reading.* The signature is the meter key's, verified by the Ed25519 precompile in the instruction just before; one layout of that
//!   instruction is accepted (see `campus_common::ed25519`), and only where this instruction is the transaction's own.
//! - *A replayed, reordered or foreign reading.* Network id, rising sequence and interval end, and the hash of the record before.
//! - *A manipulated register.* It never falls, moves only within the meter's role, and no faster than the installation's nameplate allows.
//! - *Counting generation without consumption.* A member settles only with every settling meter at one boundary, all settled before at
//!   another; anything else (first reading, new key, new user, rebase, another set of meters) is a baseline and credits nothing.
//! - *A book pinned before its end.* A checkpoint of an epoch is refused while its book is not final, and its hash is compared with the
//!   book itself: the book could otherwise never be closed against it, and an auditor would be shown another one.
//! - *Grid energy sold as renewable out of a battery.* What comes out counts as renewable only up to the bank, which only surplus fills.
//!
//! **Assumptions.** The registry's Meter says the truth about role, source and nameplate. The cluster's clock is the department's.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use anchor_lang::prelude::*;

mod instructions;
mod record;
mod settlement;
use instructions::*;

pub use oracle_interface::{EnergyAccount, EpochCheckpoint, MeterState, Oracle, OracleError, ID};

campus_common::entrypoint!(
    oracle_interface::OracleError,
    governance_interface::GovernanceError,
    registry_interface::RegistryError,
    trading_interface::TradingError,
);

#[program]
pub mod oracle {
    use super::*;

    // The program looks for the instruction in this order: first those that come most often.

    /// Accept meter-signed readings. By the operator. The instruction just before is the Ed25519 precompile's over one frame
    /// (record 96 | key 32 | signature 64) for each reading; the remaining accounts are, for each, its Meter and its MeterState (writable).
    pub fn submit_readings(ctx: &mut Context<SubmitReadings>) -> Result<()> {
        submit_readings::execute(ctx)
    }

    /// Settle a member up to a boundary at which all of its settling meters have a reading, and mint its renewable surplus. By the
    /// operator. The remaining accounts are Meter and MeterState (writable) of each of the member's settling meters.
    pub fn settle_surplus(ctx: &mut Context<SettleSurplus>, interval_end: i64) -> Result<()> {
        settle_surplus::execute(ctx, interval_end)
    }

    /// Open a registered meter: makes its MeterState and, with a member's first meter, its EnergyAccount. By the operator, who pays.
    pub fn open_meter(ctx: &mut Context<OpenMeter>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Settle a suspended or closed meter alone: what it drew since its last settlement is withdrawn, nothing is credited. By the operator.
    pub fn settle_idle_meter(ctx: &mut Context<SettleIdleMeter>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Have the market clear an epoch that has ended and pay up to `limit` of its orders; called again, it goes on paying. Open to anyone.
    pub fn trigger_clearing(ctx: &mut Context<TriggerClearing>, epoch: u32, limit: u16) -> Result<()> {
        ctx.accounts.execute(epoch, limit)
    }

    /// Pin the audit log, the totals and the final book's hash at an epoch that has ended; epochs follow one another. Refused while the
    /// epoch has a book that is not final. By the operator, who pays.
    pub fn checkpoint_epoch(
        ctx: &mut Context<CheckpointEpoch>,
        epoch: u32,
        log_size: u64,
        log_root: [u8; 32],
        book_hash: [u8; 32],
    ) -> Result<()> {
        ctx.accounts.execute(Checkpoint { epoch, log_size, log_root, book_hash })
    }

    /// Open a member's EnergyAccount before its first meter is given to it; open_meter does so by itself. By the operator, who pays.
    pub fn open_energy_account(ctx: &mut Context<OpenEnergyAccount>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Go on from other registers after a reset or an exchange. By the operator, with a record that the meter's key signed and that says so
    /// (flag register reset, register epoch + 1), verified by the Ed25519 instruction just before.
    pub fn rebase_meter(ctx: &mut Context<RebaseMeter>) -> Result<()> {
        ctx.accounts.execute()
    }
}
