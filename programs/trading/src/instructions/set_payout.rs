//! set_payout: what anyone may pay out of a seat to its member's own account.

use {
    anchor_lang::prelude::*,
    campus_common::{now, Checked, CheckedMut, Signatory},
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{Asset, Seats, SeatsMut, TradingError},
};

/// Accounts of set_payout.
#[derive(Accounts)]
pub struct SetPayout {
    /// The member's wallet, or its delegate within its term.
    pub authority: Signatory<WalletOrDelegate>,
    /// The member's User, at [user, wallet] of the registry.
    pub user: Checked<User>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
}

impl SetPayout {
    /// Set the seat's bits; see [`crate::trading::set_payout`].
    pub(crate) fn execute(&mut self, assets: u8) -> Result<()> {
        if assets & !Asset::ALL != 0 {
            return Err(TradingError::UnknownPayout.into());
        }
        let user = &self.user;
        user.require_wallet_or_delegate(&self.authority, now()?)?;
        SeatsMut::of(&mut self.seats)?.seat(user.member_index)?.payout = assets;
        Ok(())
    }
}
