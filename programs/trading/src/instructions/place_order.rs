//! place_order: an order enters the book, and locks what it may cost from its member's seat.

use {
    crate::{
        order_book::{crosses_own, insert, require_within_limits},
        payments::{lock, locked},
    },
    anchor_lang::prelude::*,
    campus_common::{
        now,
        units::{Epoch, OrderWattHours, PricePerKwh},
        Checked, CheckedMut, Signatory,
    },
    governance_interface::{Config, Pause},
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{Asset, BookMut, BookStatus, EpochBook, Order, Seats, SeatsMut, Side, TradingError},
};

/// Accounts of place_order.
#[derive(Accounts)]
pub struct PlaceOrder {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory<WalletOrDelegate>,
    /// Governance's Config, at [config].
    pub config: Checked<Config>,
    /// The member's User, at [user, wallet] of the registry.
    pub user: Checked<User>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The epoch's book, at [book, slot].
    #[account(unsafe(dup))]
    pub book: CheckedMut<EpochBook>,
}

impl PlaceOrder {
    /// Place an order; see [`crate::trading::place_order`].
    pub(crate) fn execute(&mut self, epoch: Epoch, side: Side, price: PricePerKwh, quantity: OrderWattHours) -> Result<()> {
        self.config.require_running(Pause::ORDERS)?;
        let now = now()?;
        let user = &self.user;
        user.require_active()?;
        user.require_wallet_or_delegate(&self.authority, now)?;
        let member = user.member_index;

        let mut seats = SeatsMut::of(&mut self.seats)?;
        let mut book = BookMut::of(&mut self.book)?;
        if book.head.epoch != epoch {
            return Err(TradingError::WrongBook.into());
        }
        if !book.head.is(BookStatus::Open) {
            return Err(TradingError::BookNotOpen.into());
        }
        if now < book.head.opens_at {
            return Err(TradingError::EpochNotBegun.into());
        }
        if now >= book.head.cutoff_at {
            return Err(TradingError::AfterCutoff.into());
        }
        require_within_limits(book.head, price, quantity)?;

        let order = Order { price, number: book.head.next_number, quantity, filled: OrderWattHours::ZERO, member };
        let asset = Asset::locked_by(side);
        let amount = lock(side, &order, book.head.wheeling);
        let seat = seats.seat(member)?;
        seat.turn_to(epoch);
        if seat.orders() >= book.head.max_orders_per_member {
            return Err(TradingError::TooManyOrders.into());
        }
        if seat.may_cross(side, price) {
            if crosses_own(&book, side, price, member) {
                return Err(TradingError::CrossesOwnOrder.into());
            }
        }
        seat.take(asset, amount)?;
        seat.enter(side, price);

        let total = locked(book.head, asset);
        *total = total.checked_add(amount).ok_or(TradingError::BookInvariant)?;
        book.head.next_number = order.number.checked_add(1).ok_or(TradingError::BookInvariant)?;
        if let Some(worst) = insert(&mut book, side, order)? {
            let amount = lock(side, &worst, book.head.wheeling);
            let total = locked(book.head, asset);
            *total = total.checked_sub(amount).ok_or(TradingError::LockedShort)?;
            let seat = seats.seat(worst.member)?;
            seat.leave(side, epoch)?;
            seat.give(asset, amount)?;
        }
        Ok(())
    }
}
