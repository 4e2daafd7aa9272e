//! Making accounts at addresses of a program.

use {
    anchor_lang::{
        address_eq, bytemuck::Pod, create_account_with_signers, find_program_address, AccountView, Address, Discriminator, Error,
        Owner, Result,
    },
    core::mem::size_of,
};

/// The system program.
pub const SYSTEM_PROGRAM: Address = Address::from_str_const("11111111111111111111111111111111");
/// SPL Token.
pub const TOKEN_PROGRAM: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// The associated-token program.
pub const ASSOCIATED_TOKEN_PROGRAM: Address = Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
/// The Instructions sysvar.
pub const INSTRUCTIONS_SYSVAR: Address = Address::from_str_const("Sysvar1nstructions1111111111111111111111111");

/// Make an account of type `T` at the canonical address of `seeds`, rent paid by `payer`; the account is zero but for its
/// discriminator. Returns it for writing, with its bump.
///
/// Refuses with `wrong_address` where `target` lies elsewhere and with `exists` where the account was made before. Lamports that
/// somebody sent to the address beforehand do not stand in the way.
pub fn create<'a, T: Owner + Discriminator + Pod>(
    payer: &AccountView,
    target: &AccountView,
    seeds: &[&[u8]],
    refusals: (impl Into<Error>, impl Into<Error>),
) -> Result<(&'a mut T, u8)> {
    let (wrong_address, exists) = refusals;
    let owner: Address = T::OWNER;
    let (address, bump) = find_program_address(seeds, &owner);
    if !address_eq(&address, target.address()) {
        return Err(wrong_address.into());
    }
    if !target.owned_by(&SYSTEM_PROGRAM) || target.data_len() != 0 {
        return Err(exists.into());
    }
    let bump_seed = [bump];
    let mut signer_seeds: [&[u8]; 4] = [&[]; 4];
    signer_seeds[..seeds.len()].copy_from_slice(seeds);
    signer_seeds[seeds.len()] = &bump_seed;
    let space = 8 + size_of::<T>();
    create_account_with_signers(payer, target, space, &owner, Some(&signer_seeds[..=seeds.len()]), None)?;

    let mut target = *target;
    let data = target.data_mut_ptr();
    // SAFETY: the account was just made with this length, is zeroed, and starts on an 8-byte boundary; nothing else refers to it.
    unsafe {
        core::ptr::copy_nonoverlapping(T::DISCRIMINATOR.as_ptr(), data, 8);
        Ok((&mut *(data.add(8) as *mut T), bump))
    }
}
