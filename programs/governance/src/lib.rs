//! # Governance: who decides, and by which parameters
//!
//! **Purpose.** One Config holds the deployment's identity (network id, epoch length), its authority and operator, the market's and
//! the meters' parameters, and pause bits. Every other program reads it and obeys it.
//!
//! **Accounts.** Config at `[config]`, made once.
//!
//! **Threats.** Somebody initializes first and becomes the authority: only the upgrade authority that the upgradeable loader records
//! for this program may initialize. Parameters change under a running market: they are staged for an epoch whose book cannot be
//! open yet, and bounded here.
//! The authority is handed to a wrong key: the new one must accept. A member is robbed by parameters: prices, fee and wheeling have
//! bounds, and an order book keeps the parameters of its epoch.
//!
//! **Assumptions.** Whoever holds the upgrade authority can replace programs, so it can do anything; that leaves a trace on the chain,
//! which the audit compares with the released programs.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use {anchor_lang::prelude::*, campus_common::units::Epoch};

mod instructions;
use instructions::*;

pub use governance_interface::{Config, GovernanceError, Parameters, ID};

campus_common::entrypoint!(governance_interface::GovernanceError);

#[program]
pub mod governance {
    use super::*;

    /// Make the Config. Signed by the upgrade authority of this program, which becomes the authority.
    pub fn initialize(ctx: &mut Context<Initialize>, args: InitializeArgs) -> Result<()> {
        ctx.accounts.execute(args)
    }

    /// Pause activities (bits set) and resume them (bits cleared).
    pub fn set_paused(ctx: &mut Context<SetPaused>, bits: u16) -> Result<()> {
        ctx.accounts.execute(bits)
    }

    /// Stage parameters that hold from a later epoch, the one after the next at the earliest; they replace any that were staged and do
    /// not hold yet, unless those hold from the next epoch. Refused while a billing period waits to be opened. By the authority.
    pub fn stage_parameters(ctx: &mut Context<StageParameters>, parameters: Parameters, from_epoch: u32) -> Result<()> {
        ctx.accounts.execute(parameters, Epoch(from_epoch))
    }

    /// Propose another authority (all zero withdraws the proposal). By the authority.
    pub fn propose_authority(ctx: &mut Context<ProposeAuthority>, pending: Address) -> Result<()> {
        ctx.accounts.execute(pending)
    }

    /// Take over as the authority. By the proposed one.
    pub fn accept_authority(ctx: &mut Context<AcceptAuthority>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Name another operator. By the authority.
    pub fn set_operator(ctx: &mut Context<SetOperator>, operator: Address) -> Result<()> {
        ctx.accounts.execute(operator)
    }

    /// Open the next billing period, once the open one has ended; withdrawals of the closed one can be retired for 8 more epochs. By the
    /// operator.
    pub fn open_billing_period(ctx: &mut Context<OpenBillingPeriod>) -> Result<()> {
        ctx.accounts.execute()
    }
}
