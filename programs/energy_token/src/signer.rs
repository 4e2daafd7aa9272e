//! The mint authority's signature.

use {
    anchor_lang::{
        pinocchio::cpi::{Seed, Signer},
        prelude::*,
    },
    campus_common::units::WattHours,
    energy_token_interface::{MINT_AUTHORITY_BUMP, MINT_AUTHORITY_SEED},
    pinocchio_token::instructions::MintTo,
    trading_interface::cpi::BurnDelegated,
};

/// Mint `amount` base units, signed by the mint authority. The caller has checked the mint and the account.
#[inline(always)]
pub fn mint(mint: &AccountView, account: &AccountView, authority: &AccountView, amount: u64) -> Result<()> {
    let bump = [MINT_AUTHORITY_BUMP];
    let seeds = [Seed::from(MINT_AUTHORITY_SEED), Seed::from(&bump)];
    MintTo::new(mint, account, authority, amount).invoke_signed(&[Signer::from(&seeds)])
}

/// Have the market burn `amount` for a member's delegate, signed by the mint authority. The caller has checked who may have it burnt.
#[inline(always)]
pub fn burn_delegated(accounts: &BurnDelegated, amount: WattHours) {
    let bump = [MINT_AUTHORITY_BUMP];
    let seeds = [Seed::from(MINT_AUTHORITY_SEED), Seed::from(&bump)];
    accounts.invoke_signed(amount, Signer::from(&seeds));
}
