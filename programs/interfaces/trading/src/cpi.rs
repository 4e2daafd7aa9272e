//! The calls into the trading program: the oracle's to clear_epoch, the energy token's to credit_seat and burn_from_seat.

use {
    crate::Asset,
    anchor_lang::{pinocchio::cpi::Signer, prelude::*},
    campus_common::{
        cpi::{call, Passed},
        units::{Epoch, WattHours},
    },
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
            Passed::Signer(self.oracle),
            Passed::Readonly(self.config),
            Passed::Writable(self.market),
            Passed::Writable(self.seats),
            Passed::Writable(self.book),
        ];
        call(&crate::ID, accounts, &data, signer);
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
        let accounts = [Passed::Signer(self.mint_authority), Passed::Writable(self.seats), Passed::Readonly(self.vault)];
        call(&crate::ID, accounts, &data, signer);
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
            Passed::Signer(self.mint_authority),
            Passed::Readonly(self.market),
            Passed::Writable(self.seats),
            Passed::Writable(self.energy_mint),
            Passed::Writable(self.energy_vault),
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
        assert_eq!(CLEAR_EPOCH[..], anchor_lang::sha256(b"global:clear_epoch")[..8]);
        assert_eq!(CREDIT_SEAT[..], anchor_lang::sha256(b"global:credit_seat")[..8]);
        assert_eq!(BURN_FROM_SEAT[..], anchor_lang::sha256(b"global:burn_from_seat")[..8]);
    }
}
