//! grow_seats: room for more members.

use {
    crate::signers::Payer,
    anchor_lang::{prelude::*, realloc_account},
    campus_common::{Checked, CheckedMut, Foreign, Signatory, SYSTEM_PROGRAM},
    registry_interface::Registry,
    trading_interface::{seats_space, Seats, TradingError, SEATS_PER_STEP},
};

/// Accounts of grow_seats.
#[derive(Accounts)]
pub struct GrowSeats {
    /// Pays the rent.
    #[account(unsafe(dup))]
    pub payer: Signatory<Payer>,
    /// The registry's Registry, at [registry]: it counts the members.
    pub registry: Checked<Registry>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: Foreign,
}

impl GrowSeats {
    /// Add seats; see [`crate::trading::grow_seats`].
    pub(crate) fn execute(&mut self) -> Result<()> {
        let capacity = self.seats.capacity;
        // A stranger makes the account no larger than members come.
        if capacity > self.registry.users.saturating_add(SEATS_PER_STEP) {
            return Err(TradingError::SeatsSuffice.into());
        }
        let capacity = capacity + SEATS_PER_STEP;
        realloc_account(&mut { *self.seats.account() }, seats_space(capacity), self.payer.account(), false)?;
        // What an account grows by is zero: empty seats.
        self.seats.capacity = capacity;
        Ok(())
    }
}
