//! grow_seats: room for more members.

use {
    crate::rent::grow,
    anchor_lang::prelude::*,
    campus_common::{load, Signatory, SYSTEM_PROGRAM},
    registry_interface::{Registry, REGISTRY_ADDRESS},
    trading_interface::{seats_space, SeatsMut, TradingError, SEATS, SEATS_PER_STEP},
};

/// Accounts of grow_seats.
#[derive(Accounts)]
pub struct GrowSeats {
    /// Pays the rent.
    #[account(mut, unsafe(dup))]
    pub payer: Signatory,
    /// The registry's Registry, at [registry]: it counts the members.
    #[account(address = REGISTRY_ADDRESS @ TradingError::WrongRegistry)]
    pub registry: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: UncheckedAccount,
}

impl GrowSeats {
    /// Add seats; see [`crate::trading::grow_seats`].
    pub(crate) fn execute(ctx: &mut Context<Self>) -> Result<()> {
        require!(ctx.accounts.payer.is_signer(), TradingError::PayerMustSign);
        let members = load::<Registry>(ctx.accounts.registry.account(), TradingError::WrongRegistry)?.users;
        let view = ctx.accounts.seats.account();
        let capacity = SeatsMut::load(view)?.head.capacity;
        // A stranger makes the account no larger than members come.
        require!(capacity <= members.saturating_add(SEATS_PER_STEP), TradingError::SeatsSuffice);
        let capacity = capacity + SEATS_PER_STEP;
        grow(ctx.accounts.payer.account(), view, seats_space(capacity))?;
        // What an account grows by is zero: empty seats.
        SeatsMut::load(view)?.head.capacity = capacity;
        SeatsMut::load(view)?.invariant()
    }
}
