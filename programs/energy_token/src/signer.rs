//! Signatures: the mint authority's, and those that the program asks for.

use {
    anchor_lang::{
        pinocchio::cpi::{Seed, Signer},
        prelude::*,
    },
    campus_common::Capacity,
    energy_token_interface::{can_receive, EnergyTokenError, Place, MINT_AUTHORITY_BUMP, MINT_AUTHORITY_SEED},
    pinocchio_token::instructions::MintTo,
    registry_interface::User,
    trading_interface::{cpi::CreditSeat, Asset},
};

/// The oracle program, with its own address.
pub struct OracleProgram;

impl Capacity for OracleProgram {
    #[inline(always)]
    fn missing() -> Error {
        EnergyTokenError::OracleMustSign.into()
    }
}

/// Pays the rent of a first Retirement.
pub struct Payer;

impl Capacity for Payer {
    #[inline(always)]
    fn missing() -> Error {
        EnergyTokenError::PayerMustSign.into()
    }
}

/// Run `call` with the mint authority's signature.
#[inline(always)]
pub fn as_mint_authority<T>(call: impl FnOnce(Signer) -> T) -> T {
    let bump = [MINT_AUTHORITY_BUMP];
    let seeds = [Seed::from(MINT_AUTHORITY_SEED), Seed::from(&bump)];
    call(Signer::from(&seeds))
}

/// Where tokens are minted to a member: its token account, or, through the market's vault, its seat.
pub struct Minting<'a> {
    /// Which token.
    pub asset: Asset,
    /// Its mint.
    pub mint: &'a AccountView,
    /// The member's token account that its User names.
    pub token_account: &'a AccountView,
    /// The mint authority.
    pub authority: &'a AccountView,
    /// The market's vault of the token.
    pub vault: &'a AccountView,
    /// The market's seats.
    pub seats: &'a AccountView,
}

impl Minting<'_> {
    /// Mint `amount` base units to the member: to its token account where that can take it, else to its seat. Says to which. The caller
    /// has checked the accounts, and that `amount` is not zero.
    ///
    /// So nobody can hinder its own minting, nor a thief of a token account have it: SPL Token lets members close, freeze and give away.
    #[inline(always)]
    pub fn mint(&self, user: &User, amount: u64) -> Result<Place> {
        if can_receive(self.token_account, self.mint.address(), &user.wallet) {
            self.mint_to(self.token_account, amount)?;
            return Ok(Place::TokenAccount);
        }
        self.mint_to_seat(user, amount)?;
        Ok(Place::Seat)
    }

    /// Mint `amount` base units to the member's seat.
    #[inline(never)]
    pub fn mint_to_seat(&self, user: &User, amount: u64) -> Result<()> {
        self.mint_to(self.vault, amount)?;
        let credit = CreditSeat { mint_authority: self.authority, seats: self.seats, vault: self.vault };
        as_mint_authority(|signer| credit.invoke_signed(self.asset, user.member_index, amount, signer));
        Ok(())
    }

    #[inline(always)]
    fn mint_to(&self, account: &AccountView, amount: u64) -> Result<()> {
        as_mint_authority(|signer| MintTo::new(self.mint, account, self.authority, amount).invoke_signed(&[signer]))
    }
}
