//! clear_epoch: one price for the book, what each order gets, and everybody's pay; in one instruction or in several.

use {
    crate::{
        auction::{equilibrium, fill, is_fair},
        payments::pay,
        signers::OracleProgram,
    },
    anchor_lang::prelude::*,
    campus_common::{
        log, now,
        units::{Epoch, OrderWattHours, PricePerKwh, UnixTime},
        Checked, CheckedMut, Signatory,
    },
    governance_interface::{Config, Pause},
    oracle_interface::ORACLE_ADDRESS,
    trading_interface::{events::EpochCleared, BookMut, BookStatus, EpochBook, Market, Seats, SeatsMut, Side, TradingError},
};

/// Accounts of clear_epoch.
#[derive(Accounts)]
pub struct ClearEpoch {
    /// The oracle program's address [oracle], signing.
    #[account(address = ORACLE_ADDRESS @ TradingError::NotTheOracle)]
    pub oracle: Signatory<OracleProgram>,
    /// Governance's Config, at [config].
    pub config: Checked<Config>,
    /// The market, at [market].
    #[account(unsafe(dup))]
    pub market: CheckedMut<Market>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The epoch's book, at [book, slot].
    #[account(unsafe(dup))]
    pub book: CheckedMut<EpochBook>,
}

impl ClearEpoch {
    /// Clear the book, or go on paying it; see [`crate::trading::clear_epoch`].
    pub(crate) fn execute(&mut self, epoch: Epoch, limit: u16) -> Result<()> {
        self.config.require_running(Pause::CLEARING)?;
        let market = &mut self.market;
        let mut seats = SeatsMut::of(&mut self.seats)?;
        let mut book = BookMut::of(&mut self.book)?;
        if book.head.epoch != epoch {
            return Err(TradingError::WrongBook.into());
        }
        match book.head.status()? {
            BookStatus::Open => {
                let now = now()?;
                if now < book.head.closes_at {
                    return Err(TradingError::EpochNotOver.into());
                }
                if book.head.previous != market.settled_epoch {
                    return Err(TradingError::EarlierBookUnsettled.into());
                }
                let reference = market.reference_price;
                price(&mut book, reference, now)?;
                record(market, book.head);
                log(&EpochCleared {
                    epoch,
                    price: book.head.price,
                    lowest_price: book.head.lowest_price,
                    highest_price: book.head.highest_price,
                    volume: book.head.volume,
                    reference_price: reference,
                    new_reference_price: market.reference_price,
                    bids: book.head.bid_count,
                    asks: book.head.ask_count,
                });
            }
            BookStatus::Clearing => {}
            BookStatus::Growing | BookStatus::Vacant => return Err(TradingError::BookNotOpen.into()),
            BookStatus::Refunding | BookStatus::Final => return Err(TradingError::AlreadyCleared.into()),
        }
        pay(&mut book, &mut seats, limit)
    }
}

/// Find the price, fill the orders, and check the outcome before anybody is paid.
#[inline(never)]
fn price(book: &mut BookMut, reference: PricePerKwh, now: UnixTime) -> Result<()> {
    let found = equilibrium(book.bids(), book.asks());
    let price = found.price(reference);
    let (bids, asks) = (usize::from(book.head.bid_count), usize::from(book.head.ask_count));
    fill(&mut book.bids[..bids], Side::Bid, found.volume, price);
    fill(&mut book.asks[..asks], Side::Ask, found.volume, price);
    if found.volume > OrderWattHours::ZERO {
        let fair = is_fair(book.bids(), Side::Bid, found.volume, price) && is_fair(book.asks(), Side::Ask, found.volume, price);
        if !fair || found.lowest > price || price > found.highest {
            return Err(TradingError::UnfairClearing.into());
        }
    }
    let head = &mut *book.head;
    head.reference_price = reference;
    head.price = price;
    head.lowest_price = found.lowest;
    head.highest_price = found.highest;
    head.volume = found.volume;
    head.cleared_at = now;
    head.set_status(BookStatus::Clearing);
    Ok(())
}

/// Count the epoch in the market, and let its price become the reference where enough was traded.
fn record(market: &mut Market, book: &EpochBook) {
    market.epochs_cleared = market.epochs_cleared.saturating_add(1);
    market.traded = market.traded.saturating_add(book.volume.into());
    market.turnover = market.turnover.saturating_add(book.price.cost_floor(book.volume));
    market.settled_epoch = book.epoch;
    if book.volume > OrderWattHours::ZERO && book.volume >= book.min_reference_volume {
        market.reference_price = book.price;
        market.reference_epoch = book.epoch;
    }
}
