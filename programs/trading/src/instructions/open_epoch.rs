//! open_epoch: the next book of the ring takes its place, with the parameters of its epoch.

use {
    anchor_lang::prelude::*,
    campus_common::{
        borrow, log, now,
        units::{Epoch, MicroCredits, OrderWattHours, PricePerKwh, Seconds, UnixTime},
        Checked, CheckedMut, Foreign,
    },
    governance_interface::{Config, Pause},
    oracle_interface::EpochCheckpoint,
    trading_interface::{events::EpochOpened, Book, BookStatus, EpochBook, Market, TradingError, BOOKS},
};

/// Accounts of open_epoch.
#[derive(Accounts)]
pub struct OpenEpoch {
    /// Governance's Config, at [config].
    pub config: Checked<Config>,
    /// The market, at [market].
    #[account(unsafe(dup))]
    pub market: CheckedMut<Market>,
    /// The book of the epoch's slot, at [book, epoch mod 16 as u8].
    #[account(unsafe(dup))]
    pub book: CheckedMut<EpochBook>,
    /// The oracle's checkpoint of the slot's earlier epoch, at [epoch, n] of the oracle program; any account where the slot is vacant.
    pub checkpoint: Foreign,
}

impl OpenEpoch {
    /// Open a book; see [`crate::trading::open_epoch`].
    pub(crate) fn execute(&mut self, epoch: Epoch) -> Result<()> {
        let config = &self.config;
        config.require_running(Pause::ORDERS)?;
        let market = &mut self.market;
        let current = config.epoch(now()?);
        if epoch <= market.latest_epoch {
            return Err(TradingError::BookExists.into());
        }
        // The next epoch's only once the current one's is there: so books open in their epochs' order, and nobody skips one for the others.
        let openable = epoch == current || (market.latest_epoch == current && Some(epoch.0) == current.0.checked_add(1));
        if !openable {
            return Err(TradingError::EpochNotOpenable.into());
        }

        require_free(&Book::of(&self.book)?, epoch, self.checkpoint.account())?;
        let parameters = config.parameters(epoch);
        let closes_at = epoch.end(config.epoch_seconds);
        let head: &mut EpochBook = &mut self.book;
        // A full side of the largest orders fits the u32 in which a side's quantities are summed: so no order is ever refused for what
        // others have ordered.
        let largest = OrderWattHours(u32::MAX / u32::from(head.capacity.max(1)));
        head.epoch = epoch;
        head.opens_at = epoch.start(config.epoch_seconds);
        head.cutoff_at = UnixTime(closes_at.0 - i64::from(parameters.cancel_cutoff_seconds.0));
        head.closes_at = closes_at;
        head.cleared_at = UnixTime(0);
        head.fees = MicroCredits::ZERO;
        head.previous = market.latest_epoch;
        head.epoch_seconds = Seconds(config.epoch_seconds.0);
        head.feed_in_price = parameters.feed_in_price;
        head.retail_price = parameters.retail_price;
        head.wheeling = parameters.wheeling;
        head.min_order = parameters.min_order_wh.min(largest);
        head.max_order = parameters.max_order_wh.min(largest);
        head.min_reference_volume = parameters.min_reference_volume_wh;
        head.fee_bps = parameters.fee_bps;
        head.max_orders_per_member = parameters.max_orders_per_member;
        empty(head);
        head.set_status(BookStatus::Open);
        if market.first_epoch.0 == 0 {
            market.first_epoch = epoch;
        }
        market.latest_epoch = epoch;
        log(&EpochOpened { epoch, feed_in_price: head.feed_in_price, retail_price: head.retail_price, wheeling: head.wheeling });
        Ok(())
    }
}

/// Refuse where the account is not the book of the epoch's slot, or where what it held is not final and pinned: the last book must be a
/// leaf of the log before its place is taken.
#[inline(never)]
fn require_free(book: &Book, epoch: Epoch, checkpoint: &AccountView) -> Result<()> {
    if u32::from(book.head.slot) != epoch.0 % BOOKS {
        return Err(TradingError::WrongBook.into());
    }
    match book.head.status()? {
        BookStatus::Growing => Err(TradingError::BookNotGrown.into()),
        BookStatus::Vacant => Ok(()),
        BookStatus::Open | BookStatus::Clearing | BookStatus::Refunding => Err(TradingError::SlotOccupied.into()),
        BookStatus::Final => {
            let checkpoint: &EpochCheckpoint = borrow(checkpoint).map_err(|_| TradingError::WrongCheckpoint)?;
            if checkpoint.epoch != book.head.epoch {
                return Err(TradingError::WrongCheckpoint.into());
            }
            if checkpoint.book_hash != book.hash() {
                return Err(TradingError::BookHashMismatch.into());
            }
            Ok(())
        }
    }
}

/// Take the last epoch's orders and outcome out of the head. Final books have nothing locked.
fn empty(head: &mut EpochBook) {
    head.bid_count = 0;
    head.ask_count = 0;
    head.paid = 0;
    head.bid_quantity = OrderWattHours::ZERO;
    head.ask_quantity = OrderWattHours::ZERO;
    head.next_number = 0;
    head.reference_price = PricePerKwh(0);
    head.price = PricePerKwh(0);
    head.lowest_price = PricePerKwh(0);
    head.highest_price = PricePerKwh(0);
    head.volume = OrderWattHours::ZERO;
}
