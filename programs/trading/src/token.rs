//! SPL Token: moving tokens in and out of the vaults, and telling whether an account can receive.

use {
    anchor_lang::{
        address_eq, find_program_address,
        pinocchio::{
            cpi::{invoke_signed_unchecked, CpiAccount, Seed, Signer},
            instruction::{InstructionAccount, InstructionView},
        },
        prelude::*,
    },
    campus_common::{ASSOCIATED_TOKEN_PROGRAM, TOKEN_PROGRAM},
    trading_interface::{MARKET_BUMP, MARKET_SEED},
};

/// Bytes of a token account; its mint is bytes 0 to 31, its owner bytes 32 to 63, its state byte 108 (1: initialised, 2: frozen).
const TOKEN_ACCOUNT_LEN: usize = 165;
const OWNER: core::ops::Range<usize> = 32..64;
const STATE: usize = 108;
const INITIALIZED: u8 = 1;

/// SPL Token's Transfer.
const TRANSFER: u8 = 3;

/// Accounts of a transfer.
pub struct Transfer<'a> {
    /// Where the tokens are.
    pub from: &'a AccountView,
    /// Where they go.
    pub to: &'a AccountView,
    /// The owner of `from`, or its delegate.
    pub authority: &'a AccountView,
}

impl Transfer<'_> {
    /// Move tokens that the transaction's signer holds. A refusal by SPL Token ends the transaction.
    #[inline(always)]
    pub fn invoke(&self, amount: u64) {
        self.call(amount, &[]);
    }

    /// Move tokens out of a vault, signed with the market's address.
    #[inline(always)]
    pub fn invoke_as_market(&self, amount: u64) {
        let bump = [MARKET_BUMP];
        let seeds = [Seed::from(MARKET_SEED), Seed::from(&bump)];
        self.call(amount, &[Signer::from(&seeds)]);
    }

    #[inline(always)]
    fn call(&self, amount: u64, signers: &[Signer]) {
        let mut data = [0u8; 9];
        data[0] = TRANSFER;
        data[1..].copy_from_slice(&amount.to_le_bytes());
        let accounts = [
            InstructionAccount::writable(self.from.address()),
            InstructionAccount::writable(self.to.address()),
            InstructionAccount::readonly_signer(self.authority.address()),
        ];
        let instruction = InstructionView { program_id: &pinocchio_token::ID, accounts: &accounts, data: &data };
        let views = [CpiAccount::from(self.from), CpiAccount::from(self.to), CpiAccount::from(self.authority)];
        // SAFETY: nothing in this program refers into the data of token accounts while a call is made.
        unsafe { invoke_signed_unchecked(&instruction, &views, signers) };
    }
}

/// Whether `account` is a token account of `mint` that can receive: it exists, and is not frozen.
#[inline(always)]
pub fn can_receive(account: &AccountView, mint: &Address) -> bool {
    if account.data_len() != TOKEN_ACCOUNT_LEN || !account.owned_by(&pinocchio_token::ID) {
        return false;
    }
    // SAFETY: the length was checked, and no call is under way that could change the data.
    let data = unsafe { account.borrow_unchecked() };
    // SAFETY: 32 bytes are there, and an Address has no alignment.
    let account_mint = unsafe { &*(data.as_ptr() as *const Address) };
    data[STATE] == INITIALIZED && address_eq(account_mint, mint)
}

/// Whether `account`, which [`can_receive`], is its owner's associated token account: then anyone can recreate it where it is closed.
pub fn is_associated(account: &AccountView, mint: &Address) -> bool {
    // SAFETY: as in `can_receive`, which checked the length.
    let data = unsafe { account.borrow_unchecked() };
    let (address, _) = find_program_address(&[&data[OWNER], TOKEN_PROGRAM.as_ref(), mint.as_ref()], &ASSOCIATED_TOKEN_PROGRAM);
    address_eq(&address, account.address())
}
