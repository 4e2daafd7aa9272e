//! Mint energy to a member whose token account cannot take it: into its seat. The oracle's alone.

use {
    crate::signer::{Minting, OracleProgram},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::WattHours, Checked, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{can_receive, events::EnergyMintedToSeat, EnergyTokenError, ENERGY_MINT, MINT_AUTHORITY},
    oracle_interface::ORACLE_ADDRESS,
    registry_interface::User,
    trading_interface::{Asset, ENERGY_VAULT, SEATS},
};

/// Accounts of mint_energy_to_seat.
#[derive(Accounts)]
pub struct MintEnergyToSeat {
    /// The oracle's own address, signing: for it only the oracle program can sign.
    #[account(address = ORACLE_ADDRESS @ EnergyTokenError::NotTheOracle)]
    pub oracle: Signatory<OracleProgram>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The energy mint.
    #[account(unsafe(dup), address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: Foreign,
    /// The member's energy token account, which cannot take it.
    pub energy_token_account: Foreign,
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: Foreign,
    /// The market's vault of energy.
    #[account(unsafe(dup), address = ENERGY_VAULT @ EnergyTokenError::WrongVault)]
    pub energy_vault: Foreign,
    /// The market's seats.
    #[account(unsafe(dup), address = SEATS @ EnergyTokenError::WrongSeats)]
    pub seats: Foreign,
    /// The trading program.
    #[account(address = trading_interface::ID @ EnergyTokenError::WrongTradingProgram)]
    pub trading_program: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl MintEnergyToSeat {
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        let user = &self.user;
        user.require_not_closed()?;
        if !address_eq(self.energy_token_account.account().address(), &user.energy_token_account) {
            return Err(EnergyTokenError::WrongEnergyAccount.into());
        }
        if amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        if can_receive(self.energy_token_account.account(), &ENERGY_MINT, &user.wallet) {
            return Err(EnergyTokenError::UsableEnergyAccount.into());
        }
        let minting = Minting {
            asset: Asset::Energy,
            mint: self.energy_mint.account(),
            token_account: self.energy_token_account.account(),
            authority: self.mint_authority.account(),
            vault: self.energy_vault.account(),
            seats: self.seats.account(),
        };
        minting.mint_to_seat(user, amount)?;
        log(&EnergyMintedToSeat { wallet: user.member, amount: WattHours(amount) });
        Ok(())
    }
}
