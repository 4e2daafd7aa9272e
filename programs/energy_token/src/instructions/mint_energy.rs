//! Mint energy: the oracle's alone. Its SurplusSettled says to whom and how much, so that no event of this program repeats it.

use {
    crate::signer::{as_mint_authority, OracleProgram},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{Checked, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{can_receive, EnergyTokenError, ENERGY_MINT, MINT_AUTHORITY},
    oracle_interface::ORACLE_ADDRESS,
    pinocchio_token::instructions::MintTo,
    registry_interface::User,
};

/// Accounts of mint_energy.
#[derive(Accounts)]
pub struct MintEnergy {
    /// The oracle's own address, signing: for it only the oracle program can sign.
    #[account(address = ORACLE_ADDRESS @ EnergyTokenError::NotTheOracle)]
    pub oracle: Signatory<OracleProgram>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The energy mint.
    #[account(unsafe(dup), address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: Foreign,
    /// The member's energy token account.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl MintEnergy {
    #[inline(always)]
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        let user = &self.user;
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
        as_mint_authority(|signer| MintTo::new(mint, account, authority, amount).invoke_signed(&[signer]))
    }
}
