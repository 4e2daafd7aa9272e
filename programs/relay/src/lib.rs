//! A program of the tests: calls the program that its first account names, with the other accounts and its own data.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;
#[cfg(target_os = "solana")]
use solana_compiler_builtins as _;

use {
    alloc::vec::Vec,
    anchor_lang::{
        pinocchio::{
            cpi::invoke_with_slice,
            entrypoint,
            error::ProgramError,
            instruction::{InstructionAccount, InstructionView},
            ProgramResult,
        },
        AccountView, Address,
    },
};

entrypoint!(relay);

fn relay(_program: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    let [program, passed @ ..] = accounts else {
        return Err(ProgramError::NotEnoughAccountKeys);
    };
    let metas: Vec<InstructionAccount> = passed
        .iter()
        .map(|account| InstructionAccount::new(account.address(), account.is_writable(), account.is_signer()))
        .collect();
    let views: Vec<&AccountView> = passed.iter().collect();
    invoke_with_slice(&InstructionView { program_id: program.address(), accounts: &metas, data }, &views)
}
