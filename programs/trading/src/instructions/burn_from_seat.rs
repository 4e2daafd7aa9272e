//! burn_from_seat: the burn of a retirement, out of a member's seat.

use {
    crate::token::as_market,
    anchor_lang::prelude::*,
    campus_common::{units::WattHours, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{ENERGY_MINT, MINT_AUTHORITY},
    pinocchio_token::instructions::Burn,
    trading_interface::{Asset, SeatsMut, TradingError, ENERGY_VAULT, MARKET, SEATS},
};

/// Accounts of burn_from_seat.
#[derive(Accounts)]
pub struct BurnFromSeat {
    /// The energy token program's mint authority, signing: for it only that program can sign.
    #[account(address = MINT_AUTHORITY @ TradingError::NotTheEnergyToken)]
    pub mint_authority: Signatory,
    /// The market, at [market], owner of the vault.
    #[account(address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The energy mint.
    #[account(mut, unsafe(dup), address = ENERGY_MINT @ TradingError::WrongMint)]
    pub energy_mint: UncheckedAccount,
    /// The market's vault of energy, at [energy_vault].
    #[account(mut, unsafe(dup), address = ENERGY_VAULT @ TradingError::WrongVault)]
    pub energy_vault: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl BurnFromSeat {
    /// Burn; see [`crate::trading::burn_from_seat`]. Who may retire, and how much, retire_energy has seen to.
    pub(crate) fn execute(ctx: &mut Context<Self>, member: u32, amount: WattHours) -> Result<()> {
        require!(ctx.accounts.mint_authority.is_signer(), TradingError::EnergyTokenMustSign);
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        seats.fetch(member, Asset::Energy, amount.0)?;
        seats.invariant()?;
        let (vault, mint) = (ctx.accounts.energy_vault.account(), ctx.accounts.energy_mint.account());
        as_market(|signers| Burn::new(vault, mint, ctx.accounts.market.account(), amount.0).invoke_signed(signers))
    }
}
