//! settle_orders: each order's member gets what it is due, once.

use {
    crate::{
        payments::{Due, Terms},
        token::{can_receive, Transfer},
    },
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log,
        units::{MicroCredits, WattHours},
        TOKEN_PROGRAM,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    registry_interface::User,
    trading_interface::{
        events::{EpochSettled, OrderSettled},
        BookStatus, EpochBook, Market, Order, Side, TradingError, CREDIT_VAULT, ENERGY_VAULT, MARKET, ORDERS_PER_SIDE,
    },
};

/// Accounts of settle_orders; User, energy account and credit account of the orders' members are appended.
#[derive(Accounts)]
pub struct SettleOrders {
    /// The market, at [market], owner of the vaults.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The book, at [book, epoch].
    #[account(mut)]
    pub book: UncheckedAccount,
    /// The vault of energy tokens, at [energy_vault].
    #[account(mut, address = ENERGY_VAULT @ TradingError::WrongVault)]
    pub energy_vault: UncheckedAccount,
    /// The vault of credits, at [credit_vault].
    #[account(mut, address = CREDIT_VAULT @ TradingError::WrongVault)]
    pub credit_vault: UncheckedAccount,
    /// The fee account that the Market names. A member's credit account may be the same one: it is never read, only paid to.
    #[account(unsafe(dup))]
    pub fee_account: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

/// Accounts appended for each member.
const ACCOUNTS_PER_MEMBER: usize = 3;

impl SettleOrders {
    /// Settle orders; see [`crate::trading::settle_orders`].
    pub(crate) fn execute(ctx: &mut Context<Self>, orders: alloc::vec::Vec<u16>) -> Result<()> {
        let market = Market::load(ctx.accounts.market.account())?;
        require!(address_eq(ctx.accounts.fee_account.address(), &market.fee_account), TradingError::WrongFeeAccount);
        let book = EpochBook::load_mut(ctx.accounts.book.account())?;
        match book.status()? {
            BookStatus::Cleared | BookStatus::Refunding => {}
            BookStatus::Final => return Err(TradingError::OrderAlreadySettled.into()),
            BookStatus::Growing | BookStatus::Open => return Err(TradingError::NotSettleable.into()),
        }

        let before = book.settled_count;
        let appended = ctx.remaining_accounts()?;
        let mut members = appended.chunks_exact(ACCOUNTS_PER_MEMBER);
        let mut rest = orders.as_slice();
        while let Some(&first) = rest.first() {
            let [user, energy_account, credit_account] = members.next().ok_or(TradingError::SettlementAccountsMissing)? else {
                return Err(TradingError::SettlementAccountsMissing.into());
            };
            let member = order(book, first)?.1.member;
            let mut length = 1;
            while length < rest.len() && order(book, rest[length])?.1.member == member {
                length += 1;
            }
            let (numbers, others) = rest.split_at(length);
            let run = Run::load(user, energy_account, credit_account, numbers)?;
            require!(run.member == member, TradingError::WrongMember);
            if run.can_receive() {
                settle(&ctx.accounts, book, &run)?;
            }
            rest = others;
        }

        let paid_fees = pay_fees(&ctx.accounts, book)?;
        if book.settled_count == before && !paid_fees {
            return Err(if orders.is_empty() { TradingError::NothingToSettle } else { TradingError::NothingSettled }.into());
        }
        book.invariant()
    }
}

/// Adjacent orders of one member, and its token accounts as the registry has them.
struct Run<'a> {
    member: u32,
    energy_account: &'a AccountView,
    credit_account: &'a AccountView,
    numbers: &'a [u16],
}

impl<'a> Run<'a> {
    #[inline(always)]
    fn load(
        user: &AccountView,
        energy_account: &'a AccountView,
        credit_account: &'a AccountView,
        numbers: &'a [u16],
    ) -> Result<Self> {
        let user = User::load(user)?;
        require!(address_eq(energy_account.address(), &user.energy_token_account), TradingError::WrongTokenAccount);
        require!(address_eq(credit_account.address(), &user.credit_token_account), TradingError::WrongTokenAccount);
        Ok(Self { member: user.member_index, energy_account, credit_account, numbers })
    }

    /// Whether both accounts can be paid to. Where one cannot, the member's orders wait; others' go on.
    #[inline(always)]
    fn can_receive(&self) -> bool {
        can_receive(self.energy_account, &ENERGY_MINT) && can_receive(self.credit_account, &CREDIT_MINT)
    }
}

/// The order with that number, and its side.
#[inline(always)]
fn order(book: &EpochBook, number: u16) -> Result<(Side, Order)> {
    let number = usize::from(number);
    let (side, place) = if number < ORDERS_PER_SIDE { (Side::Bid, number) } else { (Side::Ask, number - ORDERS_PER_SIDE) };
    match book.side(side).get(place) {
        Some(order) => Ok((side, *order)),
        None => Err(TradingError::OrderOutOfRange.into()),
    }
}

/// Settle orders of one member: mark each, add up what they are due, and pay that in one transfer a token.
#[inline(never)]
fn settle(accounts: &SettleOrders, book: &mut EpochBook, run: &Run) -> Result<()> {
    let terms = Terms::of(book);
    let mut total = Due::default();
    for &number in run.numbers {
        let (side, order) = order(book, number)?;
        let word = &mut book.settled[usize::from(number) / 64];
        let bit = 1u64 << (number % 64);
        require!(*word & bit == 0, TradingError::OrderAlreadySettled);
        *word |= bit;
        book.settled_count += 1;
        let due = terms.due(side, &order);
        total.energy = total.energy.checked_add(due.energy).ok_or(TradingError::EscrowShort)?;
        total.credits = total.credits.checked_add(due.credits).ok_or(TradingError::EscrowShort)?;
        log(&OrderSettled {
            energy: due.energy,
            credits: due.credits,
            epoch: book.epoch,
            member: run.member,
            filled: order.filled,
            order: u32::from(number),
        });
    }
    book.energy_escrow = book.energy_escrow.checked_sub(total.energy).ok_or(TradingError::EscrowShort)?;
    book.credit_escrow = book.credit_escrow.checked_sub(total.credits).ok_or(TradingError::EscrowShort)?;
    let authority = accounts.market.account();
    if total.energy > WattHours::ZERO {
        Transfer { from: accounts.energy_vault.account(), to: run.energy_account, authority }.invoke_as_market(total.energy.0);
    }
    if total.credits > MicroCredits::ZERO {
        Transfer { from: accounts.credit_vault.account(), to: run.credit_account, authority }.invoke_as_market(total.credits.0);
    }
    Ok(())
}

/// When every order is settled, what is left of the book's credits is the fee account's, and the book is final. A fee account that
/// cannot receive holds up nobody but itself: the book stays as it is until it can. Says whether the book became final.
#[inline(never)]
fn pay_fees(accounts: &SettleOrders, book: &mut EpochBook) -> Result<bool> {
    if book.settled_count != book.order_count() {
        return Ok(false);
    }
    let fees = book.credit_escrow;
    if fees > MicroCredits::ZERO {
        if !can_receive(accounts.fee_account.account(), &CREDIT_MINT) {
            return Ok(false);
        }
        Transfer {
            from: accounts.credit_vault.account(),
            to: accounts.fee_account.account(),
            authority: accounts.market.account(),
        }
        .invoke_as_market(fees.0);
    }
    book.credit_escrow = MicroCredits::ZERO;
    book.fees_paid = fees;
    book.status = BookStatus::Final as u8;
    log(&EpochSettled { fees, epoch: book.epoch, orders: book.order_count() });
    Ok(true)
}
