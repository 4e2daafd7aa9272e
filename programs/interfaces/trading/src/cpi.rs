//! The call from the oracle to clear_epoch, on fixed arrays.

use anchor_lang::{
    pinocchio::{
        cpi::{invoke_signed_unchecked, CpiAccount, Signer},
        instruction::{InstructionAccount, InstructionView},
    },
    prelude::*,
};

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
