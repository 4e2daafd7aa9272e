//! SPL Token: moving tokens in and out of the vaults.

use {
    anchor_lang::{
        address_eq, find_program_address,
        pinocchio::cpi::{Seed, Signer},
        prelude::*,
    },
    campus_common::{ASSOCIATED_TOKEN_PROGRAM, TOKEN_PROGRAM},
    pinocchio_token::{instructions::Transfer, state::Account},
    trading_interface::{Asset, TradingError, CREDIT_VAULT, ENERGY_VAULT, MARKET_BUMP, MARKET_SEED},
};

/// The vault of an asset; refuses another account.
#[inline(always)]
pub fn require_vault(vault: &AccountView, asset: Asset) -> Result<()> {
    let address = match asset {
        Asset::Energy => &ENERGY_VAULT,
        Asset::Credit => &CREDIT_VAULT,
    };
    if !address_eq(vault.address(), address) {
        return Err(TradingError::WrongVault.into());
    }
    Ok(())
}

/// Run `call` with the market's signature.
#[inline(always)]
pub fn as_market<T>(call: impl FnOnce(&[Signer]) -> T) -> T {
    let bump = [MARKET_BUMP];
    let seeds = [Seed::from(MARKET_SEED), Seed::from(&bump)];
    call(&[Signer::from(&seeds)])
}

/// Move tokens with the market's signature: out of a vault, or as a member's SPL Token delegate.
#[inline(always)]
pub fn transfer_as_market(from: &AccountView, to: &AccountView, market: &AccountView, amount: u64) -> Result<()> {
    as_market(|signers| Transfer::new(from, to, market, amount).invoke_signed(signers))
}

/// Tokens in a vault.
#[inline(always)]
pub fn balance(vault: &AccountView) -> Result<u64> {
    Ok(Account::from_account_view(vault).map_err(|_| TradingError::WrongVault)?.amount())
}

/// Whether `account` is a usable token account of `mint`, and its owner's associated one: then anyone can recreate it where it is closed.
pub fn require_fee_account(account: &AccountView, mint: &Address) -> Result<()> {
    let usable = Account::from_account_view(account).map_err(|_| TradingError::UnusableFeeAccount)?;
    let receives = usable.is_initialized() && !usable.is_frozen() && address_eq(usable.mint(), mint);
    if !receives {
        return Err(TradingError::UnusableFeeAccount.into());
    }
    let seeds = [usable.owner().as_ref(), TOKEN_PROGRAM.as_ref(), mint.as_ref()];
    let (address, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM);
    if !address_eq(&address, account.address()) {
        return Err(TradingError::FeeAccountNotAssociated.into());
    }
    Ok(())
}
