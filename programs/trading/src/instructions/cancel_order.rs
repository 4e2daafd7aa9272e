//! cancel_order: an order leaves the book, and its escrow returns.

use {
    super::place_order::{held, hold},
    crate::{order_book::remove, payments::escrow, token::Transfer},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log,
        units::{Epoch, OrderWattHours, PricePerKwh, UnixTime},
        Signatory, TOKEN_PROGRAM,
    },
    registry_interface::User,
    trading_interface::{
        events::OrderCancelled, BookStatus, EpochBook, Order, Side, TradingError, CREDIT_VAULT, ENERGY_VAULT, MARKET,
    },
};

/// Accounts of cancel_order.
#[derive(Accounts)]
pub struct CancelOrder {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The market, at [market], owner of the vaults.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The epoch's book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
    /// The member's token account that its User names: credits for a bid, energy for an ask.
    #[account(mut)]
    pub destination: UncheckedAccount,
    /// The market's vault of that token, at [credit_vault] or [energy_vault].
    #[account(mut)]
    pub vault: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl CancelOrder {
    /// Cancel an order; see [`crate::trading::cancel_order`]. A pause or a suspension of the member does not stop it.
    pub(crate) fn execute(
        ctx: &mut Context<Self>,
        epoch: Epoch,
        side: u8,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        let side = Side::from_argument(side)?;
        let now = campus_common::now()?;
        let user = User::load(ctx.accounts.user.account())?;
        user.require_wallet_or_delegate(ctx.accounts.authority.account(), now)?;
        let (token_account, vault) = match side {
            Side::Bid => (&user.credit_token_account, &CREDIT_VAULT),
            Side::Ask => (&user.energy_token_account, &ENERGY_VAULT),
        };
        require!(address_eq(ctx.accounts.destination.address(), token_account), TradingError::WrongTokenAccount);
        require!(address_eq(ctx.accounts.vault.address(), vault), TradingError::WrongVault);

        let book = EpochBook::load_mut(ctx.accounts.book.account())?;
        require!(book.epoch == epoch, TradingError::WrongBook);
        require!(book.status == BookStatus::Open as u8, TradingError::BookNotOpen);
        let last = UnixTime(book.closes_at.0 - i64::from(book.cancel_cutoff_seconds.0));
        require!(now < last, TradingError::CancelTooLate);

        let order = Order { price, quantity, filled: OrderWattHours::ZERO, member: user.member_index };
        let place = remove(book, side, order)?;
        let returned = escrow(side, &order, book.wheeling);
        let rest = held(book, side).checked_sub(returned).ok_or(TradingError::EscrowShort)?;
        hold(book, side, rest);
        Transfer {
            from: ctx.accounts.vault.account(),
            to: ctx.accounts.destination.account(),
            authority: ctx.accounts.market.account(),
        }
        .invoke_as_market(returned);
        log(&OrderCancelled {
            escrow: returned,
            epoch,
            member: order.member,
            price,
            quantity,
            side: u32::from(side.argument()),
            place: place as u32,
        });
        book.invariant()
    }
}
