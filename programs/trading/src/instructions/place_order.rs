//! place_order: an order enters the book, and locks what it may cost from its member's seat.

use {
    crate::{
        order_book::{crosses_own, insert, require_within_limits},
        payments::{lock, locked},
    },
    anchor_lang::prelude::*,
    campus_common::{
        units::{Epoch, OrderWattHours, PricePerKwh},
        Signatory,
    },
    governance_interface::{Config, Pause, CONFIG_ADDRESS},
    registry_interface::User,
    trading_interface::{Asset, BookMut, BookStatus, Order, SeatsMut, Side, TradingError, SEATS},
};

/// Accounts of place_order.
#[derive(Accounts)]
pub struct PlaceOrder {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The epoch's book, at [book, slot].
    #[account(mut, unsafe(dup))]
    pub book: UncheckedAccount,
}

impl PlaceOrder {
    /// Place an order; see [`crate::trading::place_order`].
    pub(crate) fn execute(
        ctx: &mut Context<Self>,
        epoch: Epoch,
        side: Side,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        Config::load(ctx.accounts.config.account())?.require_running(Pause::ORDERS)?;
        let now = campus_common::now()?;
        let user = User::load(ctx.accounts.user.account())?;
        user.require_active()?;
        user.require_wallet_or_delegate(ctx.accounts.authority.account(), now)?;
        let member = user.member_index;

        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        let mut book = BookMut::load(ctx.accounts.book.account())?;
        require!(book.head.epoch == epoch, TradingError::WrongBook);
        require!(book.head.is(BookStatus::Open), TradingError::BookNotOpen);
        require!(now >= book.head.opens_at, TradingError::EpochNotBegun);
        require!(now < book.head.cutoff_at, TradingError::AfterCutoff);
        require_within_limits(book.head, price, quantity)?;

        let order = Order { price, number: book.head.next_number, quantity, filled: OrderWattHours::ZERO, member };
        let asset = Asset::locked_by(side);
        let amount = lock(side, &order, book.head.wheeling);
        let seat = seats.seat(member)?;
        seat.turn_to(epoch);
        require!(seat.orders() < book.head.max_orders_per_member, TradingError::TooManyOrders);
        if seat.may_cross(side, price) {
            require!(!crosses_own(&book, side, price, member), TradingError::CrossesOwnOrder);
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
        seats.invariant()?;
        book.head.invariant()
    }
}
