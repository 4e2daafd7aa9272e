//! The calls into the trading program, on fixed arrays: the oracle's to clear_epoch, the energy token's to credit_seat and burn_from_seat.

use {
    crate::Asset,
    anchor_lang::{
        pinocchio::{
            cpi::{invoke_signed_unchecked, CpiAccount, Signer},
            instruction::{InstructionAccount, InstructionView},
        },
        prelude::*,
    },
    campus_common::units::{Epoch, WattHours},
};

/// Discriminator of clear_epoch: SHA-256("global:clear_epoch"), first 8 bytes.
pub const CLEAR_EPOCH: [u8; 8] = [229, 1, 65, 77, 146, 44, 145, 110];
/// Discriminator of credit_seat, likewise.
pub const CREDIT_SEAT: [u8; 8] = [120, 119, 58, 47, 62, 18, 133, 6];
/// Discriminator of burn_from_seat, likewise.
pub const BURN_FROM_SEAT: [u8; 8] = [22, 149, 78, 3, 86, 36, 188, 94];

/// Accounts of clear_epoch, in the instruction's order.
pub struct ClearEpoch<'a> {
    /// The oracle's address, signing.
    pub oracle: &'a AccountView,
    /// Governance's Config.
    pub config: &'a AccountView,
    /// The market, writable.
    pub market: &'a AccountView,
    /// The seats, writable.
    pub seats: &'a AccountView,
    /// The epoch's book, writable.
    pub book: &'a AccountView,
}

impl ClearEpoch<'_> {
    /// Clear the epoch's book and pay up to `limit` of its orders, signed with the oracle's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, epoch: Epoch, limit: u16, signer: Signer) {
        let mut data = [0u8; 14];
        data[..8].copy_from_slice(&CLEAR_EPOCH);
        data[8..12].copy_from_slice(&epoch.0.to_le_bytes());
        data[12..].copy_from_slice(&limit.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.oracle.address()),
            InstructionAccount::readonly(self.config.address()),
            InstructionAccount::writable(self.market.address()),
            InstructionAccount::writable(self.seats.address()),
            InstructionAccount::writable(self.book.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [
            CpiAccount::from(self.oracle),
            CpiAccount::from(self.config),
            CpiAccount::from(self.market),
            CpiAccount::from(self.seats),
            CpiAccount::from(self.book),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (market, seats and book).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

/// Accounts of credit_seat, in the instruction's order.
pub struct CreditSeat<'a> {
    /// The energy token program's mint authority, signing.
    pub mint_authority: &'a AccountView,
    /// The seats, writable.
    pub seats: &'a AccountView,
    /// The vault of the asset, into which the tokens were minted just before.
    pub vault: &'a AccountView,
}

impl CreditSeat<'_> {
    /// Put `amount` into a member's seat, signed with the mint authority's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, asset: Asset, member: u32, amount: u64, signer: Signer) {
        let mut data = [0u8; 21];
        data[..8].copy_from_slice(&CREDIT_SEAT);
        data[8] = asset as u8;
        data[9..13].copy_from_slice(&member.to_le_bytes());
        data[13..].copy_from_slice(&amount.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.mint_authority.address()),
            InstructionAccount::writable(self.seats.address()),
            InstructionAccount::readonly(self.vault.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [CpiAccount::from(self.mint_authority), CpiAccount::from(self.seats), CpiAccount::from(self.vault)];
        // SAFETY: the caller holds no reference into the seats' data.
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

/// Accounts of burn_from_seat, in the instruction's order.
pub struct BurnFromSeat<'a> {
    /// The energy token program's mint authority, signing.
    pub mint_authority: &'a AccountView,
    /// The market.
    pub market: &'a AccountView,
    /// The seats, writable.
    pub seats: &'a AccountView,
    /// The energy mint, writable.
    pub energy_mint: &'a AccountView,
    /// The market's vault of energy, writable.
    pub energy_vault: &'a AccountView,
    /// SPL Token.
    pub token_program: &'a AccountView,
}

impl BurnFromSeat<'_> {
    /// Burn `amount` out of a member's seat, signed with the mint authority's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, member: u32, amount: WattHours, signer: Signer) {
        let mut data = [0u8; 20];
        data[..8].copy_from_slice(&BURN_FROM_SEAT);
        data[8..12].copy_from_slice(&member.to_le_bytes());
        data[12..].copy_from_slice(&amount.0.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.mint_authority.address()),
            InstructionAccount::readonly(self.market.address()),
            InstructionAccount::writable(self.seats.address()),
            InstructionAccount::writable(self.energy_mint.address()),
            InstructionAccount::writable(self.energy_vault.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [
            CpiAccount::from(self.mint_authority),
            CpiAccount::from(self.market),
            CpiAccount::from(self.seats),
            CpiAccount::from(self.energy_mint),
            CpiAccount::from(self.energy_vault),
            CpiAccount::from(self.token_program),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (seats, mint and vault).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminators_are_the_instructions() {
        assert_eq!(CLEAR_EPOCH[..], anchor_lang::sha256(b"global:clear_epoch")[..8]);
        assert_eq!(CREDIT_SEAT[..], anchor_lang::sha256(b"global:credit_seat")[..8]);
        assert_eq!(BURN_FROM_SEAT[..], anchor_lang::sha256(b"global:burn_from_seat")[..8]);
    }
}
