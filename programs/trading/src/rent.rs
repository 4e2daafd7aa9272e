//! Making and growing accounts, whoever pays for them.

use {
    anchor_lang::{
        bytemuck::Pod,
        create_account_signed,
        pinocchio::{
            cpi::invoke,
            instruction::{InstructionAccount, InstructionView},
            Resize,
        },
        prelude::*,
    },
    campus_common::{load_mut, SYSTEM_PROGRAM},
    trading_interface::{TradingError, ID},
};

/// Make an account of `space` bytes (10,240 at most) whose head is a `T`; zero but for its discriminator.
pub fn make<'a, T: Owner + Discriminator + Pod>(
    payer: &AccountView,
    view: &AccountView,
    space: usize,
    seeds: &[&[u8]],
) -> Result<&'a mut T> {
    create_account_signed(payer, view, space, &ID, seeds)?;
    let mut view = *view;
    // SAFETY: the account was made just now, and nothing else refers into its data.
    unsafe { view.borrow_unchecked_mut()[..8].copy_from_slice(T::DISCRIMINATOR) };
    load_mut(&view, TradingError::WrongMarket)
}

/// Bring an account to `space` bytes, at most 10,240 more than it has; `payer` pays what the rent lacks. What it grows by is zero.
pub fn grow(payer: &AccountView, view: &AccountView, space: usize) -> Result<()> {
    let shortfall = Rent::get()?.try_minimum_balance(space)?.saturating_sub(view.lamports());
    if shortfall > 0 {
        let mut data = [0u8; 12];
        data[0] = 2; // the system program's Transfer
        data[4..].copy_from_slice(&shortfall.to_le_bytes());
        let accounts = [InstructionAccount::writable_signer(payer.address()), InstructionAccount::writable(view.address())];
        invoke(&InstructionView { program_id: &SYSTEM_PROGRAM, accounts: &accounts, data: &data }, &[payer, view])?;
    }
    let mut view = *view;
    // SAFETY: nothing refers into the account's data.
    unsafe { view.resize_unchecked(space)? };
    Ok(())
}
