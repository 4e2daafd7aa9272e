//! clear_epoch: one price for the book, and what each order gets.

use {
    crate::auction::{equilibrium, fill, is_fair},
    anchor_lang::prelude::*,
    campus_common::{
        log,
        units::{OrderWattHours, PricePerKwh, UnixTime},
        Signatory,
    },
    governance_interface::{Config, Pause, CONFIG_ADDRESS},
    oracle_interface::ORACLE_ADDRESS,
    trading_interface::{
        events::{EpochCleared, EpochSettled},
        BookStatus, EpochBook, Market, Side, TradingError, MARKET,
    },
};

/// Accounts of clear_epoch.
#[derive(Accounts)]
pub struct ClearEpoch {
    /// The oracle program's address [oracle], signing.
    #[account(address = ORACLE_ADDRESS @ TradingError::NotTheOracle)]
    pub oracle: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The market, at [market].
    #[account(mut, address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The epoch's book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
}

impl ClearEpoch {
    /// Clear the book; see [`crate::trading::clear_epoch`].
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        require!(ctx.accounts.oracle.is_signer(), TradingError::OracleMustSign);
        Config::load(ctx.accounts.config.account())?.require_running(Pause::CLEARING)?;
        let now = campus_common::now()?;
        let market = Market::load_mut(ctx.accounts.market.account())?;
        let book = EpochBook::load_mut(ctx.accounts.book.account())?;
        match book.status()? {
            BookStatus::Open => {}
            BookStatus::Growing => return Err(TradingError::BookNotGrown.into()),
            BookStatus::Cleared | BookStatus::Refunding | BookStatus::Final => return Err(TradingError::AlreadyCleared.into()),
        }
        require!(now >= book.closes_at, TradingError::EpochNotOver);

        let reference = market.reference_price;
        clear(book, reference, now)?;
        record(market, book);
        log(&EpochCleared {
            epoch: book.epoch,
            price: book.price,
            lowest_price: book.lowest_price,
            highest_price: book.highest_price,
            volume: book.volume,
            reference_price: reference,
            new_reference_price: market.reference_price,
            bids: book.bid_count,
            asks: book.ask_count,
        });
        finish_if_empty(book);
        market.invariant()?;
        book.invariant()
    }
}

/// Find the price, fill the orders, and check the outcome before it counts.
#[inline(never)]
fn clear(book: &mut EpochBook, reference: PricePerKwh, now: UnixTime) -> Result<()> {
    let found = equilibrium(book.side(Side::Bid), book.side(Side::Ask));
    let price = found.price(reference);
    if found.volume > OrderWattHours::ZERO {
        let (bids, asks) = (usize::from(book.bid_count), usize::from(book.ask_count));
        fill(&mut book.bids[..bids], Side::Bid, found.volume, price);
        fill(&mut book.asks[..asks], Side::Ask, found.volume, price);
        let fair = is_fair(book.side(Side::Bid), Side::Bid, found.volume, price)
            && is_fair(book.side(Side::Ask), Side::Ask, found.volume, price);
        require!(fair && found.lowest <= price && price <= found.highest, TradingError::UnfairClearing);
    }
    book.reference_price = reference;
    book.price = price;
    book.lowest_price = found.lowest;
    book.highest_price = found.highest;
    book.volume = found.volume;
    book.cleared_at = now;
    book.status = BookStatus::Cleared as u8;
    Ok(())
}

/// Count the epoch in the market, and let its price become the reference where enough was traded. An epoch cleared late does not
/// set a reference older than the one that is there.
fn record(market: &mut Market, book: &EpochBook) {
    market.epochs_cleared = market.epochs_cleared.saturating_add(1);
    market.traded = market.traded.saturating_add(book.volume.into());
    market.turnover = market.turnover.saturating_add(book.price.cost_floor(book.volume));
    let enough = book.volume > OrderWattHours::ZERO && book.volume >= book.min_reference_volume;
    if enough && book.epoch > market.reference_epoch {
        market.reference_price = book.price;
        market.reference_epoch = book.epoch;
    }
}

/// A book without orders has nothing to settle.
pub fn finish_if_empty(book: &mut EpochBook) {
    if book.order_count() == 0 {
        book.status = BookStatus::Final as u8;
        log(&EpochSettled { fees: book.fees_paid, epoch: book.epoch, orders: 0 });
    }
}
