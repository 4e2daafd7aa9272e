//! place_order: an order enters the book, and locks what it may cost.

use {
    crate::{
        order_book::{insert, require_below_cap, require_not_crossing_own, require_within_limits},
        payments::escrow,
        token::Transfer,
    },
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log,
        units::{Epoch, MicroCredits, OrderWattHours, PricePerKwh, WattHours},
        Signatory, TOKEN_PROGRAM,
    },
    governance_interface::{Config, Pause, CONFIG_ADDRESS},
    registry_interface::User,
    trading_interface::{
        events::{OrderEvicted, OrderPlaced},
        BookStatus, EpochBook, Order, Side, TradingError, CREDIT_VAULT, ENERGY_VAULT, MARKET,
    },
};

/// Accounts of place_order.
#[derive(Accounts)]
pub struct PlaceOrder {
    /// The member's wallet, or its delegate within its term: then `source` has approved the market at SPL Token.
    pub authority: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The market, at [market]: it signs the refund of an order that gives way, and for a delegate.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The epoch's book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
    /// The member's token account that its User names: credits for a bid, energy for an ask.
    #[account(mut)]
    pub source: UncheckedAccount,
    /// The market's vault of that token, at [credit_vault] or [energy_vault].
    #[account(mut)]
    pub vault: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl PlaceOrder {
    /// Place an order; see [`crate::trading::place_order`].
    pub(crate) fn execute(
        ctx: &mut Context<Self>,
        epoch: Epoch,
        side: u8,
        price: PricePerKwh,
        quantity: OrderWattHours,
    ) -> Result<()> {
        let side = Side::from_argument(side)?;
        Config::load(ctx.accounts.config.account())?.require_running(Pause::ORDERS)?;
        let now = campus_common::now()?;
        let user = User::load(ctx.accounts.user.account())?;
        user.require_active()?;
        let by_wallet = user.require_wallet_or_delegate(ctx.accounts.authority.account(), now)?;
        let (token_account, vault) = match side {
            Side::Bid => (&user.credit_token_account, &CREDIT_VAULT),
            Side::Ask => (&user.energy_token_account, &ENERGY_VAULT),
        };
        require!(address_eq(ctx.accounts.source.address(), token_account), TradingError::WrongTokenAccount);
        require!(address_eq(ctx.accounts.vault.address(), vault), TradingError::WrongVault);

        let book = EpochBook::load_mut(ctx.accounts.book.account())?;
        require!(book.epoch == epoch, TradingError::WrongBook);
        require!(book.status == BookStatus::Open as u8, TradingError::BookNotOpen);
        require!(now >= book.opens_at, TradingError::EpochNotBegun);
        require!(now < book.closes_at, TradingError::EpochOver);
        require_within_limits(book, price, quantity)?;
        let member = user.member_index;
        require_below_cap(book, member)?;
        require_not_crossing_own(book, side, price, member)?;

        let order = Order { price, quantity, filled: OrderWattHours::ZERO, member };
        let locked = escrow(side, &order, book.wheeling);
        let insertion = insert(book, side, order)?;
        let mut held = held(book, side).checked_add(locked).ok_or(TradingError::BookInvariant)?;
        if by_wallet {
            Transfer {
                from: ctx.accounts.source.account(),
                to: ctx.accounts.vault.account(),
                authority: ctx.accounts.authority.account(),
            }
            .invoke(locked);
        } else {
            lock_for_delegate(&ctx.accounts, locked);
        }
        if let Some(worst) = insertion.evicted {
            let returned = escrow(side, &worst, book.wheeling);
            held = held.checked_sub(returned).ok_or(TradingError::EscrowShort)?;
            refund_evicted(ctx, side, worst.member, returned)?;
            log(&OrderEvicted {
                escrow: returned,
                epoch,
                member: worst.member,
                price: worst.price,
                quantity: worst.quantity,
                side: u32::from(side.argument()),
                evictor: member,
            });
        }
        hold(book, side, held);
        log(&OrderPlaced {
            escrow: locked,
            epoch,
            member,
            price,
            quantity,
            side: u32::from(side.argument()),
            place: insertion.place as u32,
        });
        book.invariant()
    }
}

/// Lock what a delegate's order may cost: SPL Token knows the market, not the delegate.
#[inline(never)]
fn lock_for_delegate(accounts: &PlaceOrder, amount: u64) {
    Transfer { from: accounts.source.account(), to: accounts.vault.account(), authority: accounts.market.account() }
        .invoke_as_market(amount);
}

/// Pay an evicted order's escrow back: to the accounts appended for it, or to the member itself where it displaced its own.
#[inline(never)]
fn refund_evicted(ctx: &mut Context<PlaceOrder>, side: Side, evicted: u32, amount: u64) -> Result<()> {
    let user = User::load(ctx.accounts.user.account())?;
    if evicted == user.member_index {
        pay_back(&ctx.accounts, ctx.accounts.source.account(), amount);
        return Ok(());
    }
    let appended = ctx.remaining_accounts()?;
    let [user, token_account, ..] = appended.as_slice() else {
        return Err(TradingError::EvictionAccountsMissing.into());
    };
    let user = User::load(user)?;
    require!(user.member_index == evicted, TradingError::EvictionAccountsMissing);
    let named = match side {
        Side::Bid => &user.credit_token_account,
        Side::Ask => &user.energy_token_account,
    };
    require!(address_eq(token_account.address(), named), TradingError::WrongTokenAccount);
    pay_back(&ctx.accounts, token_account, amount);
    Ok(())
}

#[inline(always)]
fn pay_back(accounts: &PlaceOrder, to: &AccountView, amount: u64) {
    Transfer { from: accounts.vault.account(), to, authority: accounts.market.account() }.invoke_as_market(amount);
}

/// What the book has in escrow of a side's token.
#[inline(always)]
pub fn held(book: &EpochBook, side: Side) -> u64 {
    match side {
        Side::Bid => book.credit_escrow.0,
        Side::Ask => book.energy_escrow.0,
    }
}

/// Record what the book has in escrow of a side's token.
#[inline(always)]
pub fn hold(book: &mut EpochBook, side: Side, amount: u64) {
    match side {
        Side::Bid => book.credit_escrow = MicroCredits(amount),
        Side::Ask => book.energy_escrow = WattHours(amount),
    }
}
