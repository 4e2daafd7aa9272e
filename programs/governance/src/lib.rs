//! # Governance: who decides, and by which parameters
//!
//! **Purpose.** One Config holds the deployment's identity (network id, epoch length), its authority and operator, the market's and
//! the meters' parameters, and pause bits. Every other program reads it and obeys it.
//!
//! **Accounts.** Config at `[config]`, made once.
//!
//! **Threats.** Somebody initializes first and becomes the authority: only the upgrade authority that the upgradeable loader records
//! for this program may initialize. Parameters change under a running market: they are staged for a later epoch, and bounded here.
//! The authority is handed to a wrong key: the new one must accept. A member is robbed by parameters: prices, fee and wheeling have
//! bounds, and an order book keeps the parameters of its epoch.
//!
//! **Assumptions.** Whoever holds the upgrade authority can replace programs, so it can do anything; that leaves a trace on the chain,
//! which the audit compares with the released programs.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use anchor_lang::prelude::*;

mod instructions;
use instructions::*;

pub use governance_interface::{Config, GovernanceError, Parameters, ID};

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
}
