//! cancel_order: an order leaves the book, and what it locked returns to its member's seat.

use {
    crate::{
        order_book::remove,
        payments::{lock, locked},
    },
    anchor_lang::prelude::*,
    campus_common::{
        now,
        units::{Epoch, PricePerKwh},
        Checked, CheckedMut, Signatory,
    },
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{Asset, BookMut, BookStatus, EpochBook, Seats, SeatsMut, Side, TradingError},
};

/// Accounts of cancel_order.
#[derive(Accounts)]
pub struct CancelOrder {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory<WalletOrDelegate>,
    /// The member's User, at [user, wallet] of the registry.
    pub user: Checked<User>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The epoch's book, at [book, slot].
    #[account(unsafe(dup))]
    pub book: CheckedMut<EpochBook>,
}

impl CancelOrder {
    /// Cancel an order; see [`crate::trading::cancel_order`]. A pause or a suspension of the member does not stop it.
    pub(crate) fn execute(&mut self, epoch: Epoch, side: Side, price: PricePerKwh, number: u32) -> Result<()> {
        let now = now()?;
        let user = &self.user;
        user.require_wallet_or_delegate(&self.authority, now)?;

        let mut seats = SeatsMut::of(&mut self.seats)?;
        let mut book = BookMut::of(&mut self.book)?;
        if book.head.epoch != epoch {
            return Err(TradingError::WrongBook.into());
        }
        if !book.head.is(BookStatus::Open) {
            return Err(TradingError::BookNotOpen.into());
        }
        if now >= book.head.cutoff_at {
            return Err(TradingError::AfterCutoff.into());
        }

        let order = remove(&mut book, side, price, number, user.member_index)?;
        let asset = Asset::locked_by(side);
        let amount = lock(side, &order, book.head.wheeling);
        let total = locked(book.head, asset);
        *total = total.checked_sub(amount).ok_or(TradingError::LockedShort)?;
        let seat = seats.seat(order.member)?;
        seat.leave(side, epoch)?;
        seat.give(asset, amount)
    }
}
