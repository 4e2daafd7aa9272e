//! The calls from the oracle to clear_epoch and from the energy token to burn_delegated, on fixed arrays.

use anchor_lang::{
    pinocchio::{
        cpi::{invoke_signed_unchecked, CpiAccount, Signer},
        instruction::{InstructionAccount, InstructionView},
    },
    prelude::*,
};
use campus_common::units::WattHours;

/// Discriminator of clear_epoch: SHA-256("global:clear_epoch"), first 8 bytes. It takes no arguments.
pub const CLEAR_EPOCH: [u8; 8] = [229, 1, 65, 77, 146, 44, 145, 110];

/// Accounts of clear_epoch, in the instruction's order.
pub struct ClearEpoch<'a> {
    /// The oracle's address, signing.
    pub oracle: &'a AccountView,
    /// Governance's Config.
    pub config: &'a AccountView,
    /// The market, writable.
    pub market: &'a AccountView,
    /// The epoch's book, writable.
    pub book: &'a AccountView,
}

impl ClearEpoch<'_> {
    /// Clear the book, signed with the oracle's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, signer: Signer) {
        let accounts = [
            InstructionAccount::readonly_signer(self.oracle.address()),
            InstructionAccount::readonly(self.config.address()),
            InstructionAccount::writable(self.market.address()),
            InstructionAccount::writable(self.book.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &CLEAR_EPOCH };
        let views = [
            CpiAccount::from(self.oracle),
            CpiAccount::from(self.config),
            CpiAccount::from(self.market),
            CpiAccount::from(self.book),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (market and book).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

/// Discriminator of burn_delegated: SHA-256("global:burn_delegated"), first 8 bytes.
pub const BURN_DELEGATED: [u8; 8] = [247, 25, 147, 170, 156, 4, 205, 119];

/// Accounts of burn_delegated, in the instruction's order.
pub struct BurnDelegated<'a> {
    /// The energy token program's mint authority, signing.
    pub mint_authority: &'a AccountView,
    /// The market.
    pub market: &'a AccountView,
    /// User of the registry whose energy it is.
    pub user: &'a AccountView,
    /// The energy mint, writable.
    pub energy_mint: &'a AccountView,
    /// The user's energy token account, writable.
    pub source: &'a AccountView,
    /// SPL Token.
    pub token_program: &'a AccountView,
}

impl BurnDelegated<'_> {
    /// Burn `amount`, signed with the mint authority's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, amount: WattHours, signer: Signer) {
        let mut data = [0u8; 16];
        data[..8].copy_from_slice(&BURN_DELEGATED);
        data[8..].copy_from_slice(&amount.0.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.mint_authority.address()),
            InstructionAccount::readonly(self.market.address()),
            InstructionAccount::readonly(self.user.address()),
            InstructionAccount::writable(self.energy_mint.address()),
            InstructionAccount::writable(self.source.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [
            CpiAccount::from(self.mint_authority),
            CpiAccount::from(self.market),
            CpiAccount::from(self.user),
            CpiAccount::from(self.energy_mint),
            CpiAccount::from(self.source),
            CpiAccount::from(self.token_program),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (mint and token account).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminators_are_the_instructions() {
        assert_eq!(CLEAR_EPOCH[..], anchor_lang::sha256(b"global:clear_epoch")[..8]);
        assert_eq!(BURN_DELEGATED[..], anchor_lang::sha256(b"global:burn_delegated")[..8]);
    }
}
