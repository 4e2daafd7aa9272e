//! The calls from the oracle to mint_energy and mint_energy_to_seat, on fixed arrays: Anchor's generated path costs some 6,000 compute units more.

use {
    anchor_lang::{
        pinocchio::{
            cpi::{invoke_signed_unchecked, CpiAccount, Signer},
            instruction::{InstructionAccount, InstructionView},
        },
        prelude::*,
    },
    campus_common::units::WattHours,
};

/// Discriminator of mint_energy: SHA-256("global:mint_energy"), first 8 bytes.
pub const MINT_ENERGY: [u8; 8] = [76, 31, 77, 219, 98, 60, 1, 241];

/// Discriminator of mint_energy_to_seat, likewise.
pub const MINT_ENERGY_TO_SEAT: [u8; 8] = [131, 120, 98, 163, 117, 154, 74, 103];

/// Accounts of mint_energy, in the instruction's order.
pub struct MintEnergy<'a> {
    /// The oracle's address, signing.
    pub oracle: &'a AccountView,
    /// User of the registry to whom the energy belongs.
    pub user: &'a AccountView,
    /// The energy mint, writable.
    pub energy_mint: &'a AccountView,
    /// The user's energy account, writable.
    pub energy_token_account: &'a AccountView,
    /// The mint authority.
    pub mint_authority: &'a AccountView,
    /// SPL Token.
    pub token_program: &'a AccountView,
}

impl MintEnergy<'_> {
    /// Mint `amount`, signed with the oracle's seeds. A refusal ends the transaction.
    #[inline(always)]
    pub fn invoke_signed(&self, amount: WattHours, signer: Signer) {
        let mut data = [0u8; 16];
        data[..8].copy_from_slice(&MINT_ENERGY);
        data[8..].copy_from_slice(&amount.0.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.oracle.address()),
            InstructionAccount::readonly(self.user.address()),
            InstructionAccount::writable(self.energy_mint.address()),
            InstructionAccount::writable(self.energy_token_account.address()),
            InstructionAccount::readonly(self.mint_authority.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [
            CpiAccount::from(self.oracle),
            CpiAccount::from(self.user),
            CpiAccount::from(self.energy_mint),
            CpiAccount::from(self.energy_token_account),
            CpiAccount::from(self.mint_authority),
            CpiAccount::from(self.token_program),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (mint and token account).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

/// Accounts of mint_energy_to_seat, in the instruction's order. An instruction of its own: a call pays for the bytes of the accounts that it
/// passes on, and the seats are many.
pub struct MintEnergyToSeat<'a> {
    /// The oracle's address, signing.
    pub oracle: &'a AccountView,
    /// User of the registry to whom the energy belongs.
    pub user: &'a AccountView,
    /// The energy mint, writable.
    pub energy_mint: &'a AccountView,
    /// The user's energy account, which cannot take it.
    pub energy_token_account: &'a AccountView,
    /// The mint authority.
    pub mint_authority: &'a AccountView,
    /// The market's vault of energy, writable.
    pub energy_vault: &'a AccountView,
    /// The market's seats, writable.
    pub seats: &'a AccountView,
    /// The trading program.
    pub trading_program: &'a AccountView,
    /// SPL Token.
    pub token_program: &'a AccountView,
}

impl MintEnergyToSeat<'_> {
    /// Mint `amount` into the user's seat, signed with the oracle's seeds. A refusal ends the transaction.
    #[inline(never)]
    pub fn invoke_signed(&self, amount: WattHours, signer: Signer) {
        let mut data = [0u8; 16];
        data[..8].copy_from_slice(&MINT_ENERGY_TO_SEAT);
        data[8..].copy_from_slice(&amount.0.to_le_bytes());
        let accounts = [
            InstructionAccount::readonly_signer(self.oracle.address()),
            InstructionAccount::readonly(self.user.address()),
            InstructionAccount::writable(self.energy_mint.address()),
            InstructionAccount::readonly(self.energy_token_account.address()),
            InstructionAccount::readonly(self.mint_authority.address()),
            InstructionAccount::writable(self.energy_vault.address()),
            InstructionAccount::writable(self.seats.address()),
            InstructionAccount::readonly(self.trading_program.address()),
            InstructionAccount::readonly(self.token_program.address()),
        ];
        let instruction = InstructionView { program_id: &crate::ID, accounts: &accounts, data: &data };
        let views = [
            CpiAccount::from(self.oracle),
            CpiAccount::from(self.user),
            CpiAccount::from(self.energy_mint),
            CpiAccount::from(self.energy_token_account),
            CpiAccount::from(self.mint_authority),
            CpiAccount::from(self.energy_vault),
            CpiAccount::from(self.seats),
            CpiAccount::from(self.trading_program),
            CpiAccount::from(self.token_program),
        ];
        // SAFETY: the caller holds no reference into the data of the accounts that the call writes (mint, vault and seats).
        unsafe { invoke_signed_unchecked(&instruction, &views, &[signer]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminators_are_the_instructions() {
        assert_eq!(MINT_ENERGY[..], anchor_lang::sha256(b"global:mint_energy")[..8]);
        assert_eq!(MINT_ENERGY_TO_SEAT[..], anchor_lang::sha256(b"global:mint_energy_to_seat")[..8]);
    }
}
