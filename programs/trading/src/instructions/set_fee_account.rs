//! set_fee_account: fees go to another account from now on.

use {
    crate::token::require_fee_account,
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Foreign, Signatory},
    energy_token_interface::CREDIT_MINT,
    governance_interface::{Authority, Config},
    trading_interface::{events::FeeAccountChanged, Market},
};

/// Accounts of set_fee_account.
#[derive(Accounts)]
pub struct SetFeeAccount {
    /// Governance's authority.
    pub authority: Signatory<Authority>,
    /// Governance's Config, at [config].
    pub config: Checked<Config>,
    /// The market, at [market].
    #[account(unsafe(dup))]
    pub market: CheckedMut<Market>,
    /// A credit account, its owner's associated one.
    pub fee_account: Foreign,
}

impl SetFeeAccount {
    /// Name another fee account; see [`crate::trading::set_fee_account`].
    pub(crate) fn execute(&mut self) -> Result<()> {
        self.config.require_authority(&self.authority)?;
        let market = &mut self.market;
        let fee_account = self.fee_account.account();
        require_fee_account(fee_account, &CREDIT_MINT)?;
        log(&FeeAccountChanged { before: market.fee_account, fee_account: *fee_account.address() });
        market.fee_account = *fee_account.address();
        Ok(())
    }
}
