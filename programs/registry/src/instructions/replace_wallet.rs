//! Have a member's proposed wallet take over, when its time has come.
//!
//! The member stays who it was: number and seat, meters, EnergyAccount and Retirement go by the wallet that it registered with. What changes is
//! who signs, and where tokens go: the new wallet's associated token accounts, made with it. The delegate, whom the old wallet named, is
//! gone. What lies in the old wallet's own token accounts is the old key's to move.

use {
    crate::token_accounts::Wallet,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log, now,
        units::{Epoch, UnixTime},
        CampusAccount, Checked, CheckedMut, Foreign, Fresh, Signatory, ASSOCIATED_TOKEN_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM,
        VERSION,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::WalletReplaced, RegistryError, User, WalletUse, USER_SEED},
};

/// Accounts of replace_wallet.
#[derive(Accounts)]
pub struct ReplaceWallet {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The User.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
    /// The proposed wallet; it need not sign.
    pub wallet: Foreign,
    /// The WalletUse to make, at [user, proposed wallet].
    #[account(unsafe(dup))]
    pub wallet_use: Fresh<WalletUse>,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ RegistryError::WrongMint)]
    pub energy_mint: Foreign,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ RegistryError::WrongMint)]
    pub credit_mint: Foreign,
    /// The proposed wallet's associated token account for energy, made where it does not exist.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The proposed wallet's associated token account for credits, made where it does not exist.
    #[account(unsafe(dup))]
    pub credit_token_account: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ RegistryError::WrongProgram)]
    pub token_program: Foreign,
    /// The associated-token program.
    #[account(address = ASSOCIATED_TOKEN_PROGRAM @ RegistryError::WrongProgram)]
    pub associated_token_program: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: Foreign,
}

impl ReplaceWallet {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let (user, wallet) = (&mut self.user, self.wallet.account());
        user.require_not_closed()?;
        if user.next_wallet_from.0 == 0 || !address_eq(wallet.address(), &user.next_wallet) {
            return Err(RegistryError::NoWalletProposed.into());
        }
        if config.epoch(now()?) < user.next_wallet_from {
            return Err(RegistryError::WalletNotDue.into());
        }
        let (mut wallet_use, bump) = self.wallet_use.make(
            self.operator.account(),
            &[USER_SEED, wallet.address().as_ref()],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
        let before = user.wallet;
        Wallet {
            payer: self.operator.account(),
            wallet,
            energy_mint: self.energy_mint.account(),
            credit_mint: self.credit_mint.account(),
            energy: self.energy_token_account.account(),
            credit: self.credit_token_account.account(),
            system_program: self.system_program.account(),
            token_program: self.token_program.account(),
        }
        .give_to(user)?;
        wallet_use.version = VERSION;
        wallet_use.bump = bump;
        wallet_use.member_index = user.member_index;
        wallet_use.member = user.member;
        log(&WalletReplaced { member: user.member, before, after: user.wallet, member_index: user.member_index });
        (user.next_wallet, user.next_wallet_from) = (Address::default(), Epoch(0));
        (user.delegate, user.delegate_until) = (Address::default(), UnixTime(0));
        wallet_use.invariant()
    }
}
