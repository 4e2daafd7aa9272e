//! A member's associated token accounts.

use {
    anchor_lang::{
        address_eq, find_program_address,
        pinocchio::{
            cpi::invoke,
            instruction::{InstructionAccount, InstructionView},
        },
        prelude::*,
    },
    campus_common::{ASSOCIATED_TOKEN_PROGRAM, TOKEN_PROGRAM},
    registry_interface::RegistryError,
};

/// CreateIdempotent of the associated-token program: an account that somebody made beforehand does not stand in the way.
const CREATE_IDEMPOTENT: [u8; 1] = [1];

/// What making a wallet's two token accounts takes.
pub struct TokenAccounts<'a> {
    pub payer: &'a AccountView,
    pub wallet: &'a AccountView,
    pub energy_mint: &'a AccountView,
    pub credit_mint: &'a AccountView,
    pub energy: &'a AccountView,
    pub credit: &'a AccountView,
    pub system_program: &'a AccountView,
    pub token_program: &'a AccountView,
}

impl TokenAccounts<'_> {
    /// Make the wallet's associated token accounts for energy and credits, where they do not exist.
    pub fn make(&self) -> Result<()> {
        self.make_one(self.energy_mint, self.energy)?;
        self.make_one(self.credit_mint, self.credit)
    }

    fn make_one(&self, mint: &AccountView, token_account: &AccountView) -> Result<()> {
        let wallet = self.wallet.address();
        let seeds: [&[u8]; 3] = [wallet.as_ref(), TOKEN_PROGRAM.as_ref(), mint.address().as_ref()];
        let (address, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM);
        if !address_eq(&address, token_account.address()) {
            return Err(RegistryError::WrongTokenAccount.into());
        }
        let accounts = [
            InstructionAccount::writable_signer(self.payer.address()),
            InstructionAccount::writable(token_account.address()),
            InstructionAccount::readonly(wallet),
            InstructionAccount::readonly(mint.address()),
            InstructionAccount::readonly(self.system_program.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction =
            InstructionView { program_id: &ASSOCIATED_TOKEN_PROGRAM, accounts: &accounts, data: &CREATE_IDEMPOTENT };
        invoke(&instruction, &[self.payer, token_account, self.wallet, mint, self.system_program, self.token_program])
    }
}
