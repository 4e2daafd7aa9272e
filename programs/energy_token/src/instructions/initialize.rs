//! Make both mints.

use {
    anchor_lang::{create_account_with_signers, prelude::*},
    campus_common::{Checked, Foreign, Signatory, SYSTEM_PROGRAM, TOKEN_PROGRAM},
    energy_token_interface::{
        EnergyTokenError, CREDIT_DECIMALS, CREDIT_MINT, CREDIT_MINT_BUMP, CREDIT_MINT_SEED, ENERGY_DECIMALS, ENERGY_MINT,
        ENERGY_MINT_BUMP, ENERGY_MINT_SEED, MINT_AUTHORITY,
    },
    governance_interface::{Config, Operator},
    pinocchio_token::{instructions::InitializeMint2, state::Mint},
};

/// Accounts of initialize.
#[derive(Accounts)]
pub struct Initialize {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The energy mint to make.
    #[account(unsafe(dup), address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: Foreign,
    /// The credit mint to make.
    #[account(unsafe(dup), address = CREDIT_MINT @ EnergyTokenError::WrongCreditMint)]
    pub credit_mint: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ EnergyTokenError::WrongSystemProgram)]
    pub system_program: Foreign,
}

impl Initialize {
    pub(crate) fn execute(&mut self) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.make(&self.energy_mint, &[ENERGY_MINT_SEED, &[ENERGY_MINT_BUMP]], ENERGY_DECIMALS)?;
        self.make(&self.credit_mint, &[CREDIT_MINT_SEED, &[CREDIT_MINT_BUMP]], CREDIT_DECIMALS)
    }

    /// Make one mint, without a freeze authority.
    fn make(&self, mint: &Foreign, seeds: &[&[u8]], decimals: u8) -> Result<()> {
        let mint = mint.account();
        if !mint.owned_by(&SYSTEM_PROGRAM) || mint.data_len() != 0 {
            return Err(EnergyTokenError::AlreadyInitialized.into());
        }
        create_account_with_signers(self.operator.account(), mint, Mint::LEN, &TOKEN_PROGRAM, Some(seeds), None)?;
        InitializeMint2::new(mint, decimals, &MINT_AUTHORITY, None).invoke()
    }
}
