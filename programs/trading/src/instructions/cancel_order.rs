//! cancel_order: an order leaves the book, and what it locked returns to its member's seat.

use {
    crate::{
        order_book::remove,
        payments::{lock, locked},
    },
    anchor_lang::prelude::*,
    campus_common::{
        units::{Epoch, PricePerKwh},
        Signatory,
    },
    registry_interface::User,
    trading_interface::{Asset, BookMut, BookStatus, SeatsMut, Side, TradingError, SEATS},
};

/// Accounts of cancel_order.
#[derive(Accounts)]
pub struct CancelOrder {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The epoch's book, at [book, slot].
    #[account(mut, unsafe(dup))]
    pub book: UncheckedAccount,
}

impl CancelOrder {
    /// Cancel an order; see [`crate::trading::cancel_order`]. A pause or a suspension of the member does not stop it.
    pub(crate) fn execute(ctx: &mut Context<Self>, epoch: Epoch, side: Side, price: PricePerKwh, number: u32) -> Result<()> {
        let now = campus_common::now()?;
        let user = User::load(ctx.accounts.user.account())?;
        user.require_wallet_or_delegate(ctx.accounts.authority.account(), now)?;

        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        let mut book = BookMut::load(ctx.accounts.book.account())?;
        require!(book.head.epoch == epoch, TradingError::WrongBook);
        require!(book.head.is(BookStatus::Open), TradingError::BookNotOpen);
        require!(now < book.head.cutoff_at, TradingError::AfterCutoff);

        let order = remove(&mut book, side, price, number, user.member_index)?;
        let asset = Asset::locked_by(side);
        let amount = lock(side, &order, book.head.wheeling);
        let total = locked(book.head, asset);
        *total = total.checked_sub(amount).ok_or(TradingError::LockedShort)?;
        let seat = seats.seat(order.member)?;
        seat.leave(side, epoch)?;
        seat.give(asset, amount)?;
        seats.invariant()?;
        book.head.invariant()
    }
}
