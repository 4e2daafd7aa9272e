//! The campus energy market: a call auction for each 15-minute epoch.
//!
//! # Purpose
//! Members sell energy tokens (1 base unit = 1 Wh) for campus credits (1 base unit = 1 micro-credit). An [`EpochBook`] takes
//! limit orders while its epoch lasts; after its end the oracle triggers one clearing at one price; then every order is settled:
//! sellers are paid, buyers get their energy, what was locked and not needed returns.
//!
//! # Accounts
//! - [`Market`] at `[market]`: mints, vaults, fee account, reference price. Its address owns both vaults.
//! - Vaults at `[energy_vault]` and `[credit_vault]`: what resting orders have locked, of all books together. Each book keeps
//!   its own share (`energy_escrow`, `credit_escrow`) and pays out of that alone, so that no book can eat into another's.
//! - [`EpochBook`] at `[book, epoch]`: two sorted arrays of 512 orders of 16 bytes. Beyond what one instruction may allocate:
//!   `open_epoch` makes it and `grow_book` completes it, in one transaction. The opener pays the rent and gets it back.
//!
//! # Life of a book
//! growing → open → cleared → final → closed; or open → refunding → final → closed, where nobody cleared it for 8 epochs.
//! An order moves money when it enters (escrow), when it leaves (cancelled, evicted) and when it is settled, once each.
//!
//! # Money
//! A bid locks ceil(quantity x (limit + wheeling) / 1000); a buyer pays ceil(filled x (price + wheeling) / 1000); a seller gets
//! floor(filled x price / 1000) less the fee, itself rounded down. What is left of a book's credits when all orders are settled
//! (fees, wheeling, roundings) is the fee account's, and is paid last. So no order of settlement, and no split of orders into
//! small ones, pays out more than came in.
//!
//! # Who may do what
//! A member's wallet, or its delegate until the end date in its User, places and cancels. At SPL Token the member approves the
//! market (`registry.set_delegate` does), not the delegate: the market then moves the member's tokens into escrow for its delegate,
//! within the allowance, or burns them for `retire_energy`, and a delegate by itself moves nothing anywhere else. Opening and growing a book, settling, refunding
//! and closing are open to everybody: none of them has a choice to make. Clearing takes the oracle program's signature.
//!
//! # Threats, and what answers them
//! - *Look-alike accounts.* Owner and discriminator are checked of every account that is read; singletons and vaults by address;
//!   token accounts are those that the registry's User names.
//! - *Double settlement, partial failure.* One bit an order; a bit is set in the instruction that pays. Token accounts that cannot
//!   receive (closed, frozen) are passed over and stay unsettled: they block nobody, and anyone may recreate them.
//! - *Moving the reference price by a wash trade.* The price moves it only with a minimum volume, and place_order refuses an
//!   order that would trade with the member's own.
//! - *Filling a book.* Minimum size, a cap on orders per member, and the worst order gives way to a better one when a side is
//!   full. It is refunded in the same instruction, so the evictee's User and token account come with it; who has to evict reads
//!   the book, and tries again if the worst order changed meanwhile (`EvictionAccountsMissing`). A closed token account of the
//!   evictee is no shield: it can be recreated in the same transaction. Who displaces orders and then cancels has gained nothing
//!   and paid fees; the displaced place again, and the last word before the cut-off is theirs.
//! - *Cancelling at the last second.* Not in the last `cancel_cutoff_seconds`. Placing stays open to the end: it only adds volume.
//! - *Changing the rules under resting orders.* A book copies its parameters when it opens.
//! - *Making the clearing too expensive.* Its cost is linear in the orders whatever they are: ties at the margin are resolved by
//!   radix selection, not by sorting.
//! - *Skimming by rounding.* Who splits a trade into many orders loses at each rounding of price times quantity, up or down; only
//!   the fee rounds in the seller's favour, by less than one micro-credit an order. The fee account never pays.
//!
//! # Assumptions
//! The registry gives each member one index and one wallet; who registers whom is the operator's business. The clock is the
//! validator's. SPL Token keeps balances. Tokens sent to a vault without an order belong to nobody and stay there.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use {
    anchor_lang::prelude::*,
    campus_common::units::{Epoch, OrderWattHours, PricePerKwh, WattHours},
};

pub mod auction;
mod instructions;
mod order_book;
mod payments;
mod token;

pub use {instructions::*, trading_interface::*};

declare_id!("CampusTrading1111111111111111111111111111111");

#[program]
pub mod trading {
    use super::*;

    /// Make the market and its vaults. Signed and paid by the operator; once.
    pub fn initialize_market(ctx: &mut Context<InitializeMarket>, reference_price: PricePerKwh) -> Result<()> {
        InitializeMarket::execute(ctx, reference_price)
    }

    /// Make the book of the current or the next epoch, with the parameters of that epoch. Anyone may; the payer gets the rent back
    /// when the book is closed. grow_book must follow in the same transaction, before the book takes orders.
    pub fn open_epoch(ctx: &mut Context<OpenEpoch>, epoch: Epoch) -> Result<()> {
        OpenEpoch::execute(ctx, epoch)
    }

    /// Bring a book to its full size. Anyone may; its rent is paid already.
    pub fn grow_book(ctx: &mut Context<GrowBook>) -> Result<()> {
        GrowBook::execute(ctx)
    }

    /// Place a limit order and lock what it may cost. Signed by the member's wallet or its delegate. Where the side is full, append
    /// the User and the token account (writable) of the worst order's member: that order gives way if it is strictly worse.
    pub fn place_order(
        ctx: &mut Context<PlaceOrder>,
        epoch: Epoch,
        side: u8,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        PlaceOrder::execute(ctx, epoch, side, price, quantity)
    }

    /// Take back an order, named by its side, price and quantity; the latest where a member has several alike. Signed by the
    /// member's wallet or its delegate, and not in the last seconds of the epoch.
    pub fn cancel_order(
        ctx: &mut Context<CancelOrder>,
        epoch: Epoch,
        side: u8,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        CancelOrder::execute(ctx, epoch, side, price, quantity)
    }

    /// Clear a book after its epoch's end: price, volume, and what each order gets. Only the oracle program may.
    pub fn clear_epoch(ctx: &mut Context<ClearEpoch>) -> Result<()> {
        ClearEpoch::execute(ctx)
    }

    /// Pay orders of a cleared or refunded book, named by number (bids 0 to 511, asks 512 to 1023). Anyone may. Append User, energy
    /// account (writable) and credit account (writable) of each order's member, once for adjacent orders of one member. With the
    /// last order, or with no order when only that is left, the fee account is paid and the book is final.
    pub fn settle_orders(ctx: &mut Context<SettleOrders>, orders: alloc::vec::Vec<u16>) -> Result<()> {
        SettleOrders::execute(ctx, orders)
    }

    /// Let a book that nobody cleared within 8 epochs of its end be settled with no trade. Anyone may.
    pub fn refund_epoch(ctx: &mut Context<RefundEpoch>) -> Result<()> {
        RefundEpoch::execute(ctx)
    }

    /// Remove a final book whose hash the oracle's checkpoint pins; its rent returns to the payer. Anyone may.
    pub fn close_epoch(ctx: &mut Context<CloseEpoch>) -> Result<()> {
        CloseEpoch::execute(ctx)
    }

    /// Burn energy (Wh) of a member whose delegate retires it. Only the energy token program may call it, from retire_energy.
    pub fn burn_delegated(ctx: &mut Context<BurnDelegated>, amount: u64) -> Result<()> {
        BurnDelegated::execute(ctx, WattHours(amount))
    }
}
