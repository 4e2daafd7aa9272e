//! credit_seat: what the energy token program minted into a vault for a member whose token account cannot take it.

use {
    crate::{
        signers::EnergyTokenProgram,
        token::{balance, require_vault},
    },
    anchor_lang::prelude::*,
    campus_common::{CheckedMut, Foreign, Signatory},
    energy_token_interface::MINT_AUTHORITY,
    trading_interface::{Asset, Seats, SeatsMut, TradingError},
};

/// Accounts of credit_seat.
#[derive(Accounts)]
pub struct CreditSeat {
    /// The energy token program's mint authority, signing: for it only that program can sign.
    #[account(address = MINT_AUTHORITY @ TradingError::NotTheEnergyToken)]
    pub mint_authority: Signatory<EnergyTokenProgram>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    pub vault: Foreign,
}

impl CreditSeat {
    /// Put tokens into a seat; see [`crate::trading::credit_seat`].
    pub(crate) fn execute(&mut self, asset: Asset, member: u32, amount: u64) -> Result<()> {
        let vault = self.vault.account();
        require_vault(vault, asset)?;
        let mut seats = SeatsMut::of(&mut self.seats)?;
        seats.bring(member, asset, amount)?;
        let held = match asset {
            Asset::Energy => seats.head.energy_held.0,
            Asset::Credit => seats.head.credit_held.0,
        };
        // Not taken on trust: the tokens are there.
        if balance(vault)? < held {
            return Err(TradingError::VaultShort.into());
        }
        Ok(())
    }
}
