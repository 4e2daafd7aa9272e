//! Register a member, with its two associated token accounts.

use {
    crate::token_accounts::Wallet,
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log, CampusAccount, Checked, CheckedMut, Foreign, Fresh, Signatory, ASSOCIATED_TOKEN_PROGRAM, SYSTEM_PROGRAM,
        TOKEN_PROGRAM, VERSION,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::UserRegistered, Registry, RegistryError, Status, User, UserRole, USER_SEED},
};

/// Accounts of register_user.
#[derive(Accounts)]
pub struct RegisterUser {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Registry.
    #[account(unsafe(dup))]
    pub registry: CheckedMut<Registry>,
    /// The User to make, at [user, wallet].
    #[account(unsafe(dup))]
    pub user: Fresh<User>,
    /// The member's wallet; it need not sign.
    pub wallet: Foreign,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ RegistryError::WrongMint)]
    pub energy_mint: Foreign,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ RegistryError::WrongMint)]
    pub credit_mint: Foreign,
    /// The wallet's associated token account for energy, made where it does not exist.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The wallet's associated token account for credits, made where it does not exist.
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

impl RegisterUser {
    pub(crate) fn execute(&mut self, role: u8) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        let Some(role) = UserRole::from_code(role) else {
            return Err(RegistryError::UnknownUserRole.into());
        };
        let wallet = self.wallet.account();
        if address_eq(wallet.address(), &self.config.operator) {
            return Err(RegistryError::OperatorAsMember.into());
        }
        let registry = &mut self.registry;
        let (mut user, bump) = self.user.make(
            self.operator.account(),
            &[USER_SEED, wallet.address().as_ref()],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
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
        .give_to(&mut user)?;
        user.version = VERSION;
        user.bump = bump;
        user.role = role.into();
        user.status = Status::Active.into();
        user.member_index = registry.users;
        user.member = *wallet.address();
        registry.users += 1;
        log(&UserRegistered { wallet: user.wallet, member_index: user.member_index, role: user.role, padding: [0; 3] });
        user.invariant()
    }
}
