//! A member's wallet and its associated token accounts.

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
    registry_interface::{RegistryError, User},
};

/// CreateIdempotent of the associated-token program: an account that somebody made beforehand does not stand in the way.
const CREATE_IDEMPOTENT: [u8; 1] = [1];

/// What giving a member a wallet takes: its two token accounts are made.
pub struct Wallet<'a> {
    pub payer: &'a AccountView,
    pub wallet: &'a AccountView,
    pub energy_mint: &'a AccountView,
    pub credit_mint: &'a AccountView,
    pub energy: &'a AccountView,
    pub credit: &'a AccountView,
    pub system_program: &'a AccountView,
    pub token_program: &'a AccountView,
}

impl Wallet<'_> {
    /// Make it the member's, with its associated token accounts for energy and credits, which are made where they do not exist.
    pub fn give_to(&self, user: &mut User) -> Result<()> {
        self.make_one(self.energy_mint, self.energy)?;
        self.make_one(self.credit_mint, self.credit)?;
        user.wallet = *self.wallet.address();
        user.energy_token_account = *self.energy.address();
        user.credit_token_account = *self.credit.address();
        Ok(())
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
