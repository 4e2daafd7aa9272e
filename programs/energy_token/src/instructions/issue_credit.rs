//! Issue credits: the operator's.

use {
    crate::signer::Minting,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, units::MicroCredits, Checked, Foreign, Signatory, TOKEN_PROGRAM},
    energy_token_interface::{events::CreditIssued, EnergyTokenError, CREDIT_MINT, MINT_AUTHORITY},
    governance_interface::{Config, Operator, Pause},
    registry_interface::User,
    trading_interface::{Asset, CREDIT_VAULT, SEATS},
};

/// Accounts of issue_credit.
#[derive(Accounts)]
pub struct IssueCredit {
    /// The operator.
    pub operator: Signatory<Operator>,
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
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: Foreign,
    /// The market's vault of credits: for a member whose own account cannot take it.
    #[account(unsafe(dup), address = CREDIT_VAULT @ EnergyTokenError::WrongVault)]
    pub credit_vault: Foreign,
    /// The market's seats.
    #[account(unsafe(dup), address = SEATS @ EnergyTokenError::WrongSeats)]
    pub seats: Foreign,
    /// The trading program.
    #[account(address = trading_interface::ID @ EnergyTokenError::WrongTradingProgram)]
    pub trading_program: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
}

impl IssueCredit {
    pub(crate) fn execute(&mut self, amount: u64) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::CREDIT)?;
        let user = &self.user;
        user.require_active()?;
        if !address_eq(self.credit_token_account.account().address(), &user.credit_token_account) {
            return Err(EnergyTokenError::WrongCreditAccount.into());
        }
        if amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        let minting = Minting {
            asset: Asset::Credit,
            mint: self.credit_mint.account(),
            token_account: self.credit_token_account.account(),
            authority: self.mint_authority.account(),
            vault: self.credit_vault.account(),
            seats: self.seats.account(),
        };
        let place = minting.mint(user, amount)?;
        log(&CreditIssued { wallet: user.member, amount: MicroCredits(amount), to: place.into(), padding: [0; 7] });
        Ok(())
    }
}
