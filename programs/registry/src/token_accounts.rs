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

/// What the creation of a token account takes.
pub struct Creation<'a> {
    pub payer: &'a AccountView,
    pub wallet: &'a AccountView,
    pub token_account: &'a AccountView,
    pub mint: &'a AccountView,
    pub system_program: &'a AccountView,
    pub token_program: &'a AccountView,
}

impl Creation<'_> {
    /// Make the wallet's associated token account for the mint.
    pub fn invoke(&self) -> Result<()> {
        let wallet = self.wallet.address();
        let seeds: [&[u8]; 3] = [wallet.as_ref(), TOKEN_PROGRAM.as_ref(), self.mint.address().as_ref()];
        let (address, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM);
        if !address_eq(&address, self.token_account.address()) {
            return Err(RegistryError::WrongTokenAccount.into());
        }
        let accounts = [
            InstructionAccount::writable_signer(self.payer.address()),
            InstructionAccount::writable(self.token_account.address()),
            InstructionAccount::readonly(wallet),
            InstructionAccount::readonly(self.mint.address()),
            InstructionAccount::readonly(self.system_program.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction =
            InstructionView { program_id: &ASSOCIATED_TOKEN_PROGRAM, accounts: &accounts, data: &CREATE_IDEMPOTENT };
        invoke(&instruction, &[self.payer, self.token_account, self.wallet, self.mint, self.system_program, self.token_program])
    }
}
