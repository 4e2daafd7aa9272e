//! Register a member, with its two associated token accounts.

use {
    crate::{loaders::config_by_operator, token_accounts::Creation},
    anchor_lang::prelude::*,
    campus_common::{create, log, Signatory, ASSOCIATED_TOKEN_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM, VERSION},
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{GovernanceError, Pause, CONFIG_ADDRESS},
    registry_interface::{events::UserRegistered, Registry, RegistryError, Status, User, UserRole, REGISTRY_ADDRESS, USER_SEED},
};

/// Accounts of register_user.
#[derive(Accounts)]
pub struct RegisterUser {
    /// The operator, who pays the rent.
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Registry.
    #[account(mut, address = REGISTRY_ADDRESS @ RegistryError::WrongRegistry)]
    pub registry: UncheckedAccount,
    /// The User to make, at [user, wallet].
    #[account(mut)]
    pub user: UncheckedAccount,
    /// The member's wallet; it need not sign.
    pub wallet: UncheckedAccount,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ RegistryError::WrongMint)]
    pub energy_mint: UncheckedAccount,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ RegistryError::WrongMint)]
    pub credit_mint: UncheckedAccount,
    /// The wallet's associated token account for energy, made where it does not exist.
    #[account(mut)]
    pub energy_token_account: UncheckedAccount,
    /// The wallet's associated token account for credits, made where it does not exist.
    #[account(mut)]
    pub credit_token_account: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ RegistryError::WrongProgram)]
    pub token_program: UncheckedAccount,
    /// The associated-token program.
    #[account(address = ASSOCIATED_TOKEN_PROGRAM @ RegistryError::WrongProgram)]
    pub associated_token_program: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl RegisterUser {
    pub(crate) fn execute(&mut self, role: u8) -> Result<()> {
        let config = config_by_operator(&self.config, &self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        if UserRole::from_code(role).is_none() {
            return Err(RegistryError::UnknownUserRole.into());
        }
        let registry = Registry::load_mut(self.registry.account())?;
        let wallet = self.wallet.account();
        let (user, bump) = create::<User>(
            self.operator.account(),
            self.user.account(),
            &[USER_SEED, wallet.address().as_ref()],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
        for (mint, token_account) in
            [(&self.energy_mint, &self.energy_token_account), (&self.credit_mint, &self.credit_token_account)]
        {
            Creation {
                payer: self.operator.account(),
                wallet,
                token_account: token_account.account(),
                mint: mint.account(),
                system_program: self.system_program.account(),
                token_program: self.token_program.account(),
            }
            .invoke()?;
        }
        user.version = VERSION;
        user.bump = bump;
        user.role = role;
        user.status = Status::Active as u8;
        user.member_index = registry.users;
        user.wallet = *wallet.address();
        user.energy_token_account = *self.energy_token_account.account().address();
        user.credit_token_account = *self.credit_token_account.account().address();
        registry.users += 1;
        log(&UserRegistered { wallet: user.wallet, member_index: user.member_index, role, padding: [0; 3] });
        user.invariant()?;
        registry.invariant()
    }
}
