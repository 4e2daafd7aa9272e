//! withdraw_fees: fees, wheeling and roundings go to the fee account.

use {
    crate::token::transfer_as_market,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::MicroCredits, TOKEN_PROGRAM},
    trading_interface::{events::FeesWithdrawn, Market, SeatsMut, TradingError, CREDIT_VAULT, MARKET, SEATS},
};

/// Accounts of withdraw_fees.
#[derive(Accounts)]
pub struct WithdrawFees {
    /// The market, at [market], owner of the vault.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The market's vault of credits, at [credit_vault].
    #[account(mut, unsafe(dup), address = CREDIT_VAULT @ TradingError::WrongVault)]
    pub credit_vault: UncheckedAccount,
    /// The fee account that the Market names.
    #[account(mut, unsafe(dup))]
    pub fee_account: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl WithdrawFees {
    /// Pay the fees that wait; see [`crate::trading::withdraw_fees`].
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        let market = ctx.accounts.market.account();
        let named = &Market::load(market)?.fee_account;
        let fee_account = ctx.accounts.fee_account.account();
        require!(address_eq(fee_account.address(), named), TradingError::WrongFeeAccount);
        let seats = SeatsMut::load(ctx.accounts.seats.account())?;
        let amount = seats.head.fees;
        require!(amount > MicroCredits::ZERO, TradingError::NoFees);
        seats.head.fees = MicroCredits::ZERO;
        seats.head.credit_held = seats.head.credit_held.checked_sub(amount).ok_or(TradingError::SeatsInvariant)?;
        log(&FeesWithdrawn { amount });
        seats.invariant()?;
        transfer_as_market(ctx.accounts.credit_vault.account(), fee_account, market, amount.0)
    }
}
