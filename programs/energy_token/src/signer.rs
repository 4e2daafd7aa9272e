//! The mint authority's signature.

use {
    anchor_lang::{
        pinocchio::cpi::{Seed, Signer},
        prelude::*,
    },
    energy_token_interface::{MINT_AUTHORITY_BUMP, MINT_AUTHORITY_SEED},
    pinocchio_token::instructions::MintTo,
};

/// Mint `amount` base units, signed by the mint authority. The caller has checked the mint and the account.
#[inline(always)]
pub fn mint(mint: &AccountView, account: &AccountView, authority: &AccountView, amount: u64) -> Result<()> {
    let bump = [MINT_AUTHORITY_BUMP];
    let seeds = [Seed::from(MINT_AUTHORITY_SEED), Seed::from(&bump)];
    MintTo::new(mint, account, authority, amount).invoke_signed(&[Signer::from(&seeds)])
}
