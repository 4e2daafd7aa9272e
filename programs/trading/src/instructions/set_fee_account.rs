//! set_fee_account: fees go to another account from now on.

use {
    crate::token::require_fee_account,
    anchor_lang::prelude::*,
    campus_common::{log, Signatory},
    energy_token_interface::CREDIT_MINT,
    governance_interface::{Config, CONFIG_ADDRESS},
    trading_interface::{events::FeeAccountChanged, Market, TradingError, MARKET},
};

/// Accounts of set_fee_account.
#[derive(Accounts)]
pub struct SetFeeAccount {
    /// Governance's authority.
    pub authority: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The market, at [market].
    #[account(mut, unsafe(dup), address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// A credit account, its owner's associated one.
    pub fee_account: UncheckedAccount,
}

impl SetFeeAccount {
    /// Name another fee account; see [`crate::trading::set_fee_account`].
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        Config::load(ctx.accounts.config.account())?.require_authority(ctx.accounts.authority.account())?;
        let market = Market::load_mut(ctx.accounts.market.account())?;
        let fee_account = ctx.accounts.fee_account.account();
        require_fee_account(fee_account, &CREDIT_MINT)?;
        log(&FeeAccountChanged { before: market.fee_account, fee_account: *fee_account.address() });
        market.fee_account = *fee_account.address();
        market.invariant()
    }
}
