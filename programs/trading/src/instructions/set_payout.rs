//! set_payout: what anyone may pay out of a seat to its member's own account.

use {
    anchor_lang::prelude::*,
    campus_common::Signatory,
    registry_interface::User,
    trading_interface::{Asset, SeatsMut, TradingError, SEATS},
};

/// Accounts of set_payout.
#[derive(Accounts)]
pub struct SetPayout {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory,
    /// The member's User, at [user, wallet] of the registry.
    pub user: UncheckedAccount,
    /// The seats, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
}

impl SetPayout {
    /// Set the seat's bits; see [`crate::trading::set_payout`].
    pub(crate) fn execute(ctx: &mut Context<Self>, assets: u8) -> Result<()> {
        require!(assets & !Asset::ALL == 0, TradingError::UnknownPayout);
        let user = User::load(ctx.accounts.user.account())?;
        user.require_wallet_or_delegate(ctx.accounts.authority.account(), campus_common::now()?)?;
        let mut seats = SeatsMut::load(ctx.accounts.seats.account())?;
        seats.seat(user.member_index)?.payout = assets;
        seats.invariant()
    }
}
