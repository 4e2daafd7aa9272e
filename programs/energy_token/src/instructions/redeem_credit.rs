//! Give credits back to the department: a bill is paid, or money is paid out.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::MicroCredits, Checked, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{events::CreditRedeemed, EnergyTokenError, CREDIT_MINT},
    governance_interface::{Config, Pause},
    pinocchio_token::instructions::Burn,
    registry_interface::{OwnWallet, RegistryError, User},
};

/// Accounts of redeem_credit.
#[derive(Accounts)]
pub struct RedeemCredit {
    /// The member's wallet.
    pub wallet: Signatory<OwnWallet>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The credit mint.
    #[account(unsafe(dup), address = CREDIT_MINT @ EnergyTokenError::WrongCreditMint)]
    pub credit_mint: Foreign,
    /// The member's credit token account.
    #[account(unsafe(dup))]
    pub credit_token_account: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl RedeemCredit {
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        self.config.require_running(Pause::CREDIT)?;
        let user = &self.user;
        let wallet = self.wallet.account();
        // Not the delegate: it may trade and retire for the member, not cash out.
        if !address_eq(wallet.address(), &user.wallet) {
            return Err(RegistryError::NotWallet.into());
        }
        let account = self.credit_token_account.account();
        if !address_eq(account.address(), &user.credit_token_account) {
            return Err(EnergyTokenError::WrongCreditAccount.into());
        }
        if amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        Burn::new(account, self.credit_mint.account(), wallet, amount).invoke()?;
        log(&CreditRedeemed { wallet: user.member, amount: MicroCredits(amount) });
        Ok(())
    }
}
