//! Give credits back to the department: a bill is paid, or money is paid out.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::MicroCredits, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{events::CreditRedeemed, EnergyTokenError, CREDIT_MINT},
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    pinocchio_token::instructions::Burn,
    registry_interface::{RegistryError, User},
};

/// Accounts of redeem_credit.
#[derive(Accounts)]
pub struct RedeemCredit {
    /// The member's wallet.
    pub wallet: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The member, as registered.
    pub user: UncheckedAccount,
    /// The credit mint.
    #[account(mut, unsafe(dup), address = CREDIT_MINT @ EnergyTokenError::WrongCreditMint)]
    pub credit_mint: UncheckedAccount,
    /// The member's credit token account.
    #[account(mut, unsafe(dup))]
    pub credit_token_account: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
}

impl RedeemCredit {
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        let config = Config::load(self.config.account())?;
        config.require_running(Pause::CREDIT)?;
        let user = User::load(self.user.account())?;
        let wallet = self.wallet.account();
        // Not the delegate: it may trade and retire for the member, not cash out.
        if !wallet.is_signer() || !address_eq(wallet.address(), &user.wallet) {
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
