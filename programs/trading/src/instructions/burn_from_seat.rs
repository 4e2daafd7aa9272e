//! burn_from_seat: the burn of a retirement, out of a member's seat.

use {
    crate::{signers::EnergyTokenProgram, token::as_market},
    anchor_lang::prelude::*,
    campus_common::{units::WattHours, CheckedMut, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{ENERGY_MINT, MINT_AUTHORITY},
    pinocchio_token::instructions::Burn,
    trading_interface::{Asset, Seats, SeatsMut, TradingError, ENERGY_VAULT, MARKET},
};

/// Accounts of burn_from_seat.
#[derive(Accounts)]
pub struct BurnFromSeat {
    /// The energy token program's mint authority, signing: for it only that program can sign.
    #[account(address = MINT_AUTHORITY @ TradingError::NotTheEnergyToken)]
    pub mint_authority: Signatory<EnergyTokenProgram>,
    /// The market, at [market], owner of the vault.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: Foreign,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The energy mint.
    #[account(unsafe(dup), address = ENERGY_MINT @ TradingError::WrongMint)]
    pub energy_mint: Foreign,
    /// The market's vault of energy, at [energy_vault].
    #[account(unsafe(dup), address = ENERGY_VAULT @ TradingError::WrongVault)]
    pub energy_vault: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl BurnFromSeat {
    /// Burn; see [`crate::trading::burn_from_seat`]. Who may retire, and how much, retire_energy has seen to.
    pub(crate) fn execute(&mut self, member: u32, amount: WattHours) -> Result<()> {
        SeatsMut::of(&mut self.seats)?.fetch(member, Asset::Energy, amount.0)?;
        let (vault, mint) = (self.energy_vault.account(), self.energy_mint.account());
        as_market(|signers| Burn::new(vault, mint, self.market.account(), amount.0).invoke_signed(signers))
    }
}
