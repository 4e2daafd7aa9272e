//! credit_seat: what the energy token program minted into a vault for a member whose token account cannot take it.

use {
    crate::token::{balance, require_vault},
    anchor_lang::prelude::*,
    campus_common::Signatory,
    energy_token_interface::MINT_AUTHORITY,
    trading_interface::{Asset, SeatsMut, TradingError, SEATS},
};

/// Accounts of credit_seat.
#[derive(Accounts)]
pub struct CreditSeat {
    /// The energy token program's mint authority, signing: for it only that program can sign.
    #[account(address = MINT_AUTHORITY @ TradingError::NotTheEnergyToken)]
    pub mint_authority: Signatory,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The market's vault of that token, at [energy_vault] or [credit_vault].
    pub vault: UncheckedAccount,
}

impl CreditSeat {
    /// Put tokens into a seat; see [`crate::trading::credit_seat`].
    pub(crate) fn execute(ctx: &mut Context<Self>, asset: Asset, member: u32, amount: u64) -> Result<()> {
        require!(ctx.accounts.mint_authority.is_signer(), TradingError::EnergyTokenMustSign);
        let vault = ctx.accounts.vault.account();
        require_vault(vault, asset)?;
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        seats.bring(member, asset, amount)?;
        let held = match asset {
            Asset::Energy => seats.head.energy_held.0,
            Asset::Credit => seats.head.credit_held.0,
        };
        // Not taken on trust: the tokens are there.
        require!(balance(vault)? >= held, TradingError::VaultShort);
        seats.invariant()
    }
}
