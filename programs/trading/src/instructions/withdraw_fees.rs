//! withdraw_fees: fees, wheeling and roundings go to the fee account.

use {
    crate::token::transfer_as_market,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::MicroCredits, Checked, CheckedMut, Foreign, TOKEN_PROGRAM},
    trading_interface::{events::FeesWithdrawn, Market, Seats, TradingError, CREDIT_VAULT},
};

/// Accounts of withdraw_fees.
#[derive(Accounts)]
pub struct WithdrawFees {
    /// The market, at [market], owner of the vault.
    pub market: Checked<Market>,
    /// The seats, at [seats].
    #[account(unsafe(dup))]
    pub seats: CheckedMut<Seats>,
    /// The market's vault of credits, at [credit_vault].
    #[account(unsafe(dup), address = CREDIT_VAULT @ TradingError::WrongVault)]
    pub credit_vault: Foreign,
    /// The fee account that the Market names.
    #[account(unsafe(dup))]
    pub fee_account: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl WithdrawFees {
    /// Pay the fees that wait; see [`crate::trading::withdraw_fees`].
    pub(crate) fn execute(&mut self) -> Result<()> {
        let fee_account = self.fee_account.account();
        if !address_eq(fee_account.address(), &self.market.fee_account) {
            return Err(TradingError::WrongFeeAccount.into());
        }
        let seats = &mut self.seats;
        let amount = seats.fees;
        if amount == MicroCredits::ZERO {
            return Err(TradingError::NoFees.into());
        }
        seats.fees = MicroCredits::ZERO;
        seats.credit_held = seats.credit_held.checked_sub(amount).ok_or(TradingError::SeatsInvariant)?;
        log(&FeesWithdrawn { amount });
        transfer_as_market(self.credit_vault.account(), fee_account, self.market.account(), amount.0)
    }
}
