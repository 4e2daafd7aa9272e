//! The calls into the energy token program: the oracle's to mint_energy and mint_energy_to_seat.

use {
    anchor_lang::{pinocchio::cpi::Signer, prelude::*},
    campus_common::{
        cpi::{call, Passed},
        units::WattHours,
    },
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
            Passed::Signer(self.oracle),
            Passed::Readonly(self.user),
            Passed::Writable(self.energy_mint),
            Passed::Writable(self.energy_token_account),
            Passed::Readonly(self.mint_authority),
            Passed::Readonly(self.token_program),
        ];
        call(&crate::ID, accounts, &data, signer);
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
            Passed::Signer(self.oracle),
            Passed::Readonly(self.user),
            Passed::Writable(self.energy_mint),
            Passed::Readonly(self.energy_token_account),
            Passed::Readonly(self.mint_authority),
            Passed::Writable(self.energy_vault),
            Passed::Writable(self.seats),
            Passed::Readonly(self.trading_program),
            Passed::Readonly(self.token_program),
        ];
        call(&crate::ID, accounts, &data, signer);
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
