//! # Registry: members, installations and their AMI meters
//!
//! **Purpose.** Who takes part in the market, what stands where, and which meter key speaks for which member. The other programs look
//! up users and meters here.
//!
//! **Accounts.** Registry `[registry]` counts. User `[user, wallet]` names a member's two associated token accounts, made with it.
//! A member is known for ever by the wallet that it registered with; `propose_wallet` and `replace_wallet` give it another to sign with, and a
//! WalletUse `[user, wallet]` marks that one as taken. Installation `[installation, n]` bounds what its meters may report. Meter `[meter, meter_id]` binds a key, a user, a role and an
//! approved meter map. KeyUse `[key, public key]` marks a key as used, for ever.
//!
//! **Threats.** A key is registered by somebody who does not hold it, or one key speaks for two meters: registration wants a signature by
//! the key itself over this network, this meter, its first sequence and its map, verified by the Ed25519 precompile in the instruction just
//! before, and a KeyUse is made once. A set of meters counts generation but not consumption: a user has one building meter, or generation
//! and storage with load meters or a grid meter, and nothing else settles. A change of key, user, map or status moves energy from one to
//! another: each raises the Meter's generation, whereupon the oracle's next settlement credits nothing. A delegate takes a
//! member's tokens: SPL Token does not know it, and the market moves them for it to the member's seat or account alone. A member cannot drop
//! its delegate: dropping it takes the wallet's signature and the User, and asks nothing of the member's token accounts.
//!
//! **Assumptions.** The operator registers what exists; an invented meter is visible on the chain and in the audit log.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use {
    anchor_lang::prelude::*,
    campus_common::units::{Epoch, UnixTime, WattHours, Watts},
};

mod instructions;
mod loaders;
mod possession;
mod token_accounts;
use instructions::*;

pub use registry_interface::{Installation, KeyUse, Meter, Registry, RegistryError, User, WalletUse, ID};

campus_common::entrypoint!(
    registry_interface::RegistryError,
    governance_interface::GovernanceError,
    oracle_interface::OracleError,
);

#[program]
pub mod registry {
    use super::*;

    /// Make the Registry. By the operator.
    pub fn initialize(ctx: &mut Context<Initialize>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Register a member: 0 consumer, 1 prosumer, 2 institution. Makes its two associated token accounts. By the operator, who pays.
    pub fn register_user(ctx: &mut Context<RegisterUser>, role: u8) -> Result<()> {
        ctx.accounts.execute(role)
    }

    /// Register an installation: what it is, in which building, its greatest power and usable storage, since when. By the operator.
    #[allow(clippy::too_many_arguments)]
    pub fn register_installation(
        ctx: &mut Context<RegisterInstallation>,
        n: u32,
        kind: u8,
        building: [u8; 32],
        nameplate_w: u32,
        storage_wh: u64,
        since: i64,
    ) -> Result<()> {
        ctx.accounts.execute(NewInstallation {
            n,
            kind,
            building,
            nameplate: Watts(nameplate_w),
            storage: WattHours(storage_wh),
            since: UnixTime(since),
        })
    }

    /// Register a meter with the key that the Ed25519 instruction just before proves possession of (one signature over AMK1). By the
    /// operator.
    pub fn register_meter(
        ctx: &mut Context<RegisterMeter>,
        meter_id: [u8; 32],
        role: u8,
        source: u8,
        map_hash: [u8; 32],
        first_sequence: u32,
    ) -> Result<()> {
        ctx.accounts.execute(NewMeter { meter_id, role, source, map_hash, first_sequence })
    }

    /// Name or renew the delegate that may place, cancel and retire for a member until an end date; the system program's address removes
    /// it. By the member's wallet.
    pub fn set_delegate(ctx: &mut Context<SetDelegate>, until: i64) -> Result<()> {
        ctx.accounts.execute(UnixTime(until))
    }

    /// Give a member another role: 0 consumer, 1 prosumer, 2 institution. By the operator.
    pub fn set_user_role(ctx: &mut Context<SetUserRole>, role: u8) -> Result<()> {
        ctx.accounts.execute(role)
    }

    /// Propose another wallet for a member, which replace_wallet lets take over 96 epochs later; all zero withdraws the proposal. By the
    /// operator.
    pub fn propose_wallet(ctx: &mut Context<ProposeWallet>, next: Address) -> Result<()> {
        ctx.accounts.execute(next)
    }

    /// Have a member's proposed wallet take over; makes its two associated token accounts. By the operator, who pays.
    pub fn replace_wallet(ctx: &mut Context<ReplaceWallet>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Stage another nameplate and storage for an installation, from a later epoch on; its meters take them over by follow_installation. By the
    /// operator.
    pub fn stage_installation(
        ctx: &mut Context<StageInstallation>,
        nameplate_w: u32,
        storage_wh: u64,
        from_epoch: u32,
    ) -> Result<()> {
        ctx.accounts.execute(Watts(nameplate_w), WattHours(storage_wh), Epoch(from_epoch))
    }

    /// Have a meter take over its installation's nameplate and storage, those staged included. By the operator.
    pub fn follow_installation(ctx: &mut Context<FollowInstallation>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Suspend (2), reactivate (1) or close (3, for ever) a member. By the operator.
    pub fn set_user_status(ctx: &mut Context<SetUserStatus>, status: u8) -> Result<()> {
        ctx.accounts.execute(status)
    }

    /// Suspend (2), reactivate (1) or close (3, for ever) a meter; the next settlement is a baseline. By the operator.
    pub fn set_meter_status(ctx: &mut Context<SetMeterStatus>, status: u8) -> Result<()> {
        ctx.accounts.execute(status)
    }

    /// Give a meter to another member, once all that it measured is settled; the new member's next settlement is a baseline. By the operator.
    pub fn reassign_meter(ctx: &mut Context<ReassignMeter>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Replace a meter's key by the one that the Ed25519 instruction just before proves possession of; the new key numbers its
    /// records anew, and the next settlement is a baseline. By the operator.
    pub fn replace_meter_key(ctx: &mut Context<ReplaceMeterKey>, first_sequence: u32) -> Result<()> {
        ctx.accounts.execute(first_sequence)
    }

    /// Approve another map for a meter; the next settlement is a baseline. By the operator.
    pub fn set_meter_map(ctx: &mut Context<SetMeterMap>, map_hash: [u8; 32]) -> Result<()> {
        ctx.accounts.execute(map_hash)
    }
}
