//! refund_epoch: a book that nobody cleared gives everything back, in one instruction or in several.

use {
    crate::payments::pay,
    anchor_lang::prelude::*,
    campus_common::{log, now, units::Epoch, CheckedMut},
    trading_interface::{events::EpochRefunded, BookMut, BookStatus, EpochBook, Market, Seats, SeatsMut, TradingError},
};

/// Accounts of refund_epoch.
#[derive(Accounts)]
pub struct RefundEpoch {
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

impl RefundEpoch {
    /// Refund the book, or go on with it; see [`crate::trading::refund_epoch`]. No order is filled, and the price is 0: so what each is due
    /// is what it locked.
    pub(crate) fn execute(&mut self, epoch: Epoch, limit: u16) -> Result<()> {
        let market = &mut self.market;
        let mut seats = SeatsMut::of(&mut self.seats)?;
        let mut book = BookMut::of(&mut self.book)?;
        if book.head.epoch != epoch {
            return Err(TradingError::WrongBook.into());
        }
        match book.head.status()? {
            BookStatus::Open => {
                let now = now()?;
                if now < book.head.refundable_from() {
                    return Err(TradingError::NotRefundable.into());
                }
                if book.head.previous != market.settled_epoch {
                    return Err(TradingError::EarlierBookUnsettled.into());
                }
                market.settled_epoch = epoch;
                book.head.cleared_at = now;
                book.head.set_status(BookStatus::Refunding);
                log(&EpochRefunded {
                    energy: book.head.energy_locked,
                    credits: book.head.credit_locked,
                    epoch,
                    orders: u32::from(book.head.order_count()),
                });
            }
            BookStatus::Refunding => {}
            BookStatus::Growing | BookStatus::Vacant | BookStatus::Clearing | BookStatus::Final => {
                return Err(TradingError::NotRefundable.into())
            }
        }
        pay(&mut book, &mut seats, limit)
    }
}
