//! The campus energy market: a call auction for each 15-minute epoch.
//!
//! # Purpose
//! Members sell energy tokens (1 base unit = 1 Wh) for campus credits (1 base unit = 1 micro-credit). What a member has in the market lies in
//! its seat; an [`EpochBook`] takes limit orders while its epoch lasts; after its end the oracle triggers one clearing at one price, and
//! **that clearing pays**: every order's outcome is in its member's seat when it is over.
//!
//! # Accounts
//! - [`Market`] at `[market]`: mints, vaults, fee account, reference price. Its address owns both vaults.
//! - Vaults at `[energy_vault]` and `[credit_vault]`: the tokens of all seats and of all orders that rest.
//! - [`Seats`] at `[seats]`: a head, then one [`Seat`] for each member index. Anyone adds seats (`grow_seats`) as members come.
//! - [`EpochBook`] at `[book, slot]`, slot = epoch mod 16: a head, then two sorted arrays of [`Order`]s, up to 4,096 a side, as many as the
//!   market chose when it was made. The sixteen books are a ring: each is used again, when the book that it held last is final and its hash
//!   is in the oracle's checkpoint. No epoch makes or frees an account.
//!
//! # Life of a book
//! growing → vacant → open → clearing → final → open again; or open → refunding → final, where nobody cleared it for 8 epochs. A book too
//! large for one transaction is paid in steps: it waits as `clearing` or `refunding` with a cursor, and anyone may have it go on. Books are
//! cleared (or refunded) in the order of their epochs.
//!
//! # Money
//! A bid locks ceil(quantity x (limit + wheeling) / 1000) of its seat's credits, an ask its quantity of the seat's energy. A buyer pays
//! ceil(filled x (price + wheeling) / 1000); a seller gets floor(filled x price / 1000) less the fee, itself rounded down. What is left of
//! a book's credits when all orders are paid (fees, wheeling, roundings) waits in [`Seats`] for the fee account. So no order of payment, and
//! no split of orders into small ones, pays out more than came in.
//!
//! At every step: energy minted = in token accounts + in seats + locked in books + retired; and `energy_held` (`credit_held`) in [`Seats`] =
//! all seats + all locks (+ the fees), and the vault holds at least that. It holds more only where somebody sent tokens to it without a
//! deposit: those belong to nobody.
//!
//! # Who may do what
//! A member's wallet deposits, places, cancels, and withdraws to any token account. Its delegate, until the end date in its User, places,
//! cancels and retires out of the seat, and withdraws to the member's own account alone; where the member has approved the market at SPL
//! Token (SPL Token's own Approve, by the wallet), it deposits from that account too. Where a seat's payout bit is set, anyone may have what is free
//! paid out to the member's own account; a member that trades through a delegate leaves the bit off, or others could empty its seat just
//! before it orders. Growing, opening, refunding and paying the fees out are open to everybody: none of them has a choice to make.
//! Clearing takes the oracle program's signature; minting into a seat and burning out of one the energy token program's.
//!
//! # Threats, and what answers them
//! - *Look-alike accounts.* Owner and discriminator are checked of every account that is read; singletons and vaults by address;
//!   token accounts are those that the registry's User names.
//! - *One account given twice.* Every writable account is told by its address or its type, and no instruction takes two of a kind: so one
//!   given twice is refused as the wrong one of the two (hence `unsafe(dup)`: Anchor's own refusal would not say which).
//! - *A member who holds up the others.* Orders, clearing and payment touch no token account and no account of a member: closing, freezing or
//!   giving away one hinders nobody, and no order names accounts of the one that it displaces.
//! - *Double payment, partial payment.* The cursor moves in the instruction that pays; an order is behind it or before it.
//! - *Moving the reference price by a wash trade.* The price moves it only with a minimum volume, and place_order refuses an
//!   order that would trade with the member's own. Two wallets of one person remain two members.
//! - *Filling a book.* Minimum size, a cap on orders per member, and the worst order gives way to a better one when a side is
//!   full. A book's largest order is such that a full side of them fits in u32: nobody can use up the sums of a side.
//!   Who displaces orders and then cancels has gained nothing and paid fees; the displaced place again, until the cut-off.
//! - *Moving the price at the last second.* With few distinct prices a call auction is a knife's edge: 100 Wh more on one side can move the
//!   price from one limit to another. So orders are neither placed nor cancelled in the last `cancel_cutoff_seconds`: the book that clears
//!   stood open to everybody for that long, and whoever moves the price near the cut-off must mean to trade at it. Members
//!   who mind the price give limits. It is no more than that: a small order just before the cut-off still moves a price between limits.
//! - *A delegate that trades against its principal.* A delegate cannot move value to itself, *but by trade*: it may sell its principal's
//!   energy cheaply, or buy dearly, with an accomplice on the other side, between the feed-in and the retail price, for what the seat
//!   holds. Nothing in a market tells such an order from an honest one. Who names a delegate trusts it with that; the end date, and what is
//!   deposited, bound it.
//! - *Changing the rules under resting orders.* A book copies its parameters when it opens.
//! - *Making the clearing too expensive.* Its cost is linear in the orders whatever they are: ties at the margin are resolved by
//!   radix selection, not by sorting. Price and fills of the largest book fit one transaction, and its payment can be divided.
//! - *Skimming by rounding.* Who splits a trade into many orders loses at each rounding of price times quantity, up or down; only
//!   the fee rounds in the seller's favour, by less than one micro-credit an order. The fee account never pays.
//! - *Growing the seats for the sake of it.* They grow only while fewer than 250 are free.
//!
//! # Assumptions
//! The registry gives each member one index; who registers whom is the operator's business. The clock is the
//! validator's. SPL Token keeps balances. Energy that changes hands by SPL Token alone pays neither fee nor wheeling.
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
mod signers;
mod token;

pub use {instructions::*, trading_interface::*};

declare_id!("CampusTrading1111111111111111111111111111111");

campus_common::entrypoint!(
    trading_interface::TradingError,
    governance_interface::GovernanceError,
    registry_interface::RegistryError,
    oracle_interface::OracleError,
);

#[program]
pub mod trading {
    use super::*;

    /// Make the market, its vaults and its first 250 seats. `orders_per_side` (1 to 4,096) holds for ever. Signed and paid by the operator;
    /// once. The sixteen books follow by grow_book.
    pub fn initialize_market(
        ctx: &mut Context<InitializeMarket>,
        reference_price: PricePerKwh,
        orders_per_side: u16,
    ) -> Result<()> {
        ctx.accounts.execute(reference_price, orders_per_side)
    }

    /// Make the book of a slot (0 to 15), or bring it 10,240 bytes nearer to its full size; it is vacant when it has that. Anyone may, and
    /// pays the rent. Several fit a transaction.
    pub fn grow_book(ctx: &mut Context<GrowBook>, slot: u8) -> Result<()> {
        ctx.accounts.execute(slot)
    }

    /// Add 250 seats. Anyone may, and pays the rent, while no more than 250 are free.
    pub fn grow_seats(ctx: &mut Context<GrowSeats>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Name the account that receives fees. Signed by governance's authority.
    pub fn set_fee_account(ctx: &mut Context<SetFeeAccount>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Open the book of the current epoch, or of the next one when the current one's is open, with the parameters of that epoch. Anyone may.
    /// The book that its slot held last must be final and in its checkpoint.
    pub fn open_epoch(ctx: &mut Context<OpenEpoch>, epoch: Epoch) -> Result<()> {
        ctx.accounts.execute(epoch)
    }

    /// Bring tokens (asset 0: energy, Wh; 1: credits, micro-credits) into the member's seat. Signed by the wallet, or by its delegate, for
    /// which the market moves what the member approved at SPL Token.
    pub fn deposit(ctx: &mut Context<Deposit>, asset: u8, amount: u64) -> Result<()> {
        ctx.accounts.execute(Asset::from_argument(asset)?, amount)
    }

    /// Take what is free out of the member's seat. By the wallet to any token account; by its delegate, or by anyone where the seat's
    /// payout allows that asset, to the member's own.
    pub fn withdraw(ctx: &mut Context<Withdraw>, asset: u8, amount: u64) -> Result<()> {
        ctx.accounts.execute(Asset::from_argument(asset)?, amount)
    }

    /// Say what anyone may pay out of the seat to the member's own account: bit 0 energy, bit 1 credits. Signed by the wallet or its delegate.
    pub fn set_payout(ctx: &mut Context<SetPayout>, assets: u8) -> Result<()> {
        ctx.accounts.execute(assets)
    }

    /// Place a limit order and lock what it may cost from the seat. Signed by the member's wallet or its delegate, before the book's
    /// cut-off. Where the side is full, its worst order gives way if it is strictly worse, and what it locked returns to its seat.
    pub fn place_order(
        ctx: &mut Context<PlaceOrder>,
        epoch: Epoch,
        side: u8,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        ctx.accounts.execute(epoch, Side::from_argument(side)?, price, quantity)
    }

    /// Take back an order, named by its side, price and number. Signed by the member's wallet or its delegate, before the book's cut-off.
    pub fn cancel_order(ctx: &mut Context<CancelOrder>, epoch: Epoch, side: u8, price: PricePerKwh, number: u32) -> Result<()> {
        ctx.accounts.execute(epoch, Side::from_argument(side)?, price, number)
    }

    /// Clear a book after its epoch's end: price, volume, and what each order gets; and pay up to `limit` of its orders. Called again, it
    /// goes on paying, until the book is final. Only the oracle program may; books follow one another.
    pub fn clear_epoch(ctx: &mut Context<ClearEpoch>, epoch: Epoch, limit: u16) -> Result<()> {
        ctx.accounts.execute(epoch, limit)
    }

    /// Give back what the orders of a book have locked that nobody cleared within 8 epochs of its end, up to `limit` of them. Anyone may;
    /// called again, it goes on. Books follow one another.
    pub fn refund_epoch(ctx: &mut Context<RefundEpoch>, epoch: Epoch, limit: u16) -> Result<()> {
        ctx.accounts.execute(epoch, limit)
    }

    /// Pay all fees that wait to the fee account. Anyone may.
    pub fn withdraw_fees(ctx: &mut Context<WithdrawFees>) -> Result<()> {
        ctx.accounts.execute()
    }

    /// Put tokens into a seat that were minted into the vault for it. Only the energy token program may, where a member's token account
    /// cannot take them.
    pub fn credit_seat(ctx: &mut Context<CreditSeat>, asset: u8, member: u32, amount: u64) -> Result<()> {
        ctx.accounts.execute(Asset::from_argument(asset)?, member, amount)
    }

    /// Burn energy (Wh) out of a seat. Only the energy token program may, in retire_energy.
    pub fn burn_from_seat(ctx: &mut Context<BurnFromSeat>, member: u32, amount: u64) -> Result<()> {
        ctx.accounts.execute(member, WattHours(amount))
    }
}
