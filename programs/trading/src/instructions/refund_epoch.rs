//! refund_epoch: a book that nobody cleared gives everything back, in one instruction or in several.

use {
    crate::payments::pay,
    anchor_lang::prelude::*,
    campus_common::{log, units::Epoch},
    trading_interface::{events::EpochRefunded, BookMut, BookStatus, Market, SeatsMut, TradingError, MARKET, SEATS},
};

/// Accounts of refund_epoch.
#[derive(Accounts)]
pub struct RefundEpoch {
    /// The market, at [market].
    #[account(mut, unsafe(dup), address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The epoch's book, at [book, slot].
    #[account(mut, unsafe(dup))]
    pub book: UncheckedAccount,
}

impl RefundEpoch {
    /// Refund the book, or go on with it; see [`crate::trading::refund_epoch`]. No order is filled, and the price is 0: so what each is due
    /// is what it locked.
    pub(crate) fn execute(ctx: &mut Context<Self>, epoch: Epoch, limit: u16) -> Result<()> {
        let market = Market::load_mut(ctx.accounts.market.account())?;
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        let mut book = BookMut::load(ctx.accounts.book.account())?;
        require!(book.head.epoch == epoch, TradingError::WrongBook);
        match book.head.status()? {
            BookStatus::Open => {
                let now = campus_common::now()?;
                require!(now >= book.head.refundable_from(), TradingError::NotRefundable);
                require!(book.head.previous == market.settled_epoch, TradingError::EarlierBookUnsettled);
                market.settled_epoch = epoch;
                book.head.cleared_at = now;
                book.head.set_status(BookStatus::Refunding);
                log(&EpochRefunded {
                    energy: book.head.energy_locked,
                    credits: book.head.credit_locked,
                    epoch,
                    orders: u32::from(book.head.order_count()),
                });
                market.invariant()?;
            }
            BookStatus::Refunding => {}
            BookStatus::Growing | BookStatus::Vacant | BookStatus::Clearing | BookStatus::Final => {
                return Err(TradingError::NotRefundable.into())
            }
        }
        pay(&mut book, &mut seats, limit)?;
        seats.invariant()?;
        book.head.invariant()
    }
}
