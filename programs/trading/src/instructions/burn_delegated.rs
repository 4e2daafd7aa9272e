//! burn_delegated: the burn of a retirement by a delegate, for SPL Token lets the market alone move a member's tokens.

use {
    anchor_lang::{
        address_eq,
        pinocchio::cpi::{Seed, Signer as CpiSigner},
        prelude::*,
    },
    campus_common::{units::WattHours, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{ENERGY_MINT, MINT_AUTHORITY},
    pinocchio_token::instructions::Burn,
    registry_interface::User,
    trading_interface::{TradingError, MARKET, MARKET_BUMP, MARKET_SEED},
};

/// Accounts of burn_delegated.
#[derive(Accounts)]
pub struct BurnDelegated {
    /// The energy token program's mint authority, signing: for it only that program can sign.
    #[account(address = MINT_AUTHORITY @ TradingError::NotTheEnergyToken)]
    pub mint_authority: Signatory,
    /// The market, at [market]: what SPL Token knows as the delegate of the member's account.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The energy mint.
    #[account(mut, address = ENERGY_MINT @ TradingError::WrongMint)]
    pub energy_mint: UncheckedAccount,
    /// The member's energy token account that its User names.
    #[account(mut)]
    pub source: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl BurnDelegated {
    /// Burn; see [`crate::trading::burn_delegated`]. Who may retire, and how much, retire_energy has seen to.
    pub(crate) fn execute(ctx: &mut Context<Self>, amount: WattHours) -> Result<()> {
        require!(ctx.accounts.mint_authority.is_signer(), TradingError::EnergyTokenMustSign);
        let user = User::load(ctx.accounts.user.account())?;
        let source = ctx.accounts.source.account();
        require!(address_eq(source.address(), &user.energy_token_account), TradingError::WrongTokenAccount);
        let bump = [MARKET_BUMP];
        let seeds = [Seed::from(MARKET_SEED), Seed::from(&bump)];
        Burn::new(source, ctx.accounts.energy_mint.account(), ctx.accounts.market.account(), amount.0)
            .invoke_signed(&[CpiSigner::from(&seeds)])
    }
}
