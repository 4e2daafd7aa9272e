//! # Energy token: one token is one kWh of renewable surplus
//!
//! **Purpose.** Two SPL mints: the energy token (3 decimals, base unit 1 Wh) and the campus credit (6 decimals, base unit 1 micro-credit).
//! Energy is minted by the oracle alone, after it verified meter signatures on the chain; credits are issued by the operator.
//!
//! **Accounts.** Mints at `[energy_mint]` and `[credit_mint]`, both with mint authority `[mint_authority]` and no freeze authority: nobody
//! holds a key to either, and nobody can freeze a member's tokens. Retirement `[retired, wallet]`.
//!
//! **Threats.** Minting without a reading: only the oracle program's own address may call mint_energy and mint_energy_to_seat, and the mint authority signs for no
//! other minting of energy. (Besides it tells the market what was minted into, or is retired out of, a member's seat.) Minting to a
//! look-alike account, or to a thief's: the token account is the one that the registry's User names, and it must still be the wallet's;
//! where it is not, or is closed or frozen, the tokens go into the member's seat in the market. So a member can neither lose its minting
//! nor hold it up. A stock turned into money by a rise of the feed-in price: feed-in pays for a member's own surplus only, at most what its
//! meters had minted less what it has fed in. A second initialization: the mints are made once. One account given twice: each is told
//! by its address or its type, and refused as the wrong one (hence `unsafe(dup)`); payer and member of a retirement may be the same.
//!
//! **Assumptions.** SPL Token works as published. The operator issues credits against money that it received: the chain cannot see that;
//! the supply is public, and each issue is logged.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use {anchor_lang::prelude::*, campus_common::units::BillingPeriod};

mod instructions;
mod signer;
use instructions::*;

pub use energy_token_interface::{EnergyTokenError, Retirement, ID};

campus_common::entrypoint!(
    energy_token_interface::EnergyTokenError,
    governance_interface::GovernanceError,
    registry_interface::RegistryError,
    oracle_interface::OracleError,
);

#[program]
pub mod energy_token {
    use super::*;

    // The program looks for the instruction in this order: first the one that comes most often.

    /// Mint energy (Wh) to a member's energy token account. Signed by the oracle's address, that is: called by oracle.settle_surplus alone.
    pub fn mint_energy(ctx: &mut Context<MintEnergy>, amount: u64) -> Result<()> {
        ctx.accounts.execute(amount)
    }

    /// Make the energy mint and the credit mint. By the operator.
    pub fn initialize(ctx: &mut Context<Initialize>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Mint energy (Wh) to the seat of a member whose energy token account cannot take it. Signed by the oracle's address, likewise.
    pub fn mint_energy_to_seat(ctx: &mut Context<MintEnergyToSeat>, amount: u64) -> Result<()> {
        ctx.accounts.execute(amount)
    }

    /// Issue credits (micro-credits) to a member, to its token account or else to its seat, against money that it paid or is owed. By the operator.
    pub fn issue_credit(ctx: &mut Context<IssueCredit>, amount: u64) -> Result<()> {
        ctx.accounts.execute(amount)
    }

    /// Retire energy (Wh): for reason 0 against the withdrawals of a billing period, the open one or for 8 epochs the one before; for reason
    /// 1 as feed-in, for credits at the feed-in price, of the member's own surplus. Out of source 0 the member's token account, by the
    /// wallet; or 1 its seat in the market, by the wallet or its delegate. Feed-in is paid to where the energy came from.
    pub fn retire_energy(ctx: &mut Context<RetireEnergy>, reason: u8, period: u32, amount: u64, source: u8) -> Result<()> {
        ctx.accounts.execute(Request { reason, period: BillingPeriod(period), amount, source })
    }

    /// Give credits (micro-credits) back to the department, to pay a bill or to be paid out. By the member's wallet.
    pub fn redeem_credit(ctx: &mut Context<RedeemCredit>, amount: u64) -> Result<()> {
        ctx.accounts.execute(amount)
    }
}
