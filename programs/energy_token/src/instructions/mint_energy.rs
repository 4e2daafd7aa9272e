//! Mint energy: the oracle's alone.

use {
    crate::signer::as_mint_authority,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::WattHours, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{can_receive, events::EnergyMinted, EnergyTokenError, ENERGY_MINT, MINT_AUTHORITY},
    oracle_interface::ORACLE_ADDRESS,
    pinocchio_token::instructions::MintTo,
    registry_interface::User,
};

/// Accounts of mint_energy.
#[derive(Accounts)]
pub struct MintEnergy {
    /// The oracle's own address, signing: for it only the oracle program can sign.
    #[account(address = ORACLE_ADDRESS @ EnergyTokenError::NotTheOracle)]
    pub oracle: Signatory,
    /// The member, as registered.
    pub user: UncheckedAccount,
    /// The energy mint.
    #[account(mut, unsafe(dup), address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: UncheckedAccount,
    /// The member's energy token account.
    #[account(mut, unsafe(dup))]
    pub energy_token_account: UncheckedAccount,
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl MintEnergy {
    #[inline(always)]
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        if !self.oracle.account().is_signer() {
            return Err(EnergyTokenError::OracleMustSign.into());
        }
        let user = User::load(self.user.account())?;
        user.require_not_closed()?;
        if !address_eq(self.energy_token_account.account().address(), &user.energy_token_account) {
            return Err(EnergyTokenError::WrongEnergyAccount.into());
        }
        if amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        let (mint, account) = (self.energy_mint.account(), self.energy_token_account.account());
        if !can_receive(account, &ENERGY_MINT, &user.wallet) {
            return Err(EnergyTokenError::UnusableEnergyAccount.into());
        }
        let authority = self.mint_authority.account();
        as_mint_authority(|signer| MintTo::new(mint, account, authority, amount).invoke_signed(&[signer]))?;
        log(&EnergyMinted { wallet: user.member, amount: WattHours(amount), to_seat: 0, padding: [0; 7] });
        Ok(())
    }
}
