//! Addresses of the trading program's accounts, known when the program is built.

use {crate::ID, anchor_lang::Address};

/// Seed of the market's address.
pub const MARKET_SEED: &[u8] = b"market";
/// Seed of the energy vault's address.
pub const ENERGY_VAULT_SEED: &[u8] = b"energy_vault";
/// Seed of the credit vault's address.
pub const CREDIT_VAULT_SEED: &[u8] = b"credit_vault";
/// Seed of the seats' address.
pub const SEATS_SEED: &[u8] = b"seats";
/// First seed of a book's address; the second is its slot in the ring, one byte.
pub const BOOK_SEED: &[u8] = b"book";

/// Bump of [`MARKET`].
pub const MARKET_BUMP: u8 = 253;
/// Bump of [`SEATS`].
pub const SEATS_BUMP: u8 = 255;
/// Bump of [`ENERGY_VAULT`].
pub const ENERGY_VAULT_BUMP: u8 = 255;
/// Bump of [`CREDIT_VAULT`].
pub const CREDIT_VAULT_BUMP: u8 = 252;

/// The market's address, owner of both vaults.
pub const MARKET: Address = Address::derive_address_const(&[MARKET_SEED], Some(MARKET_BUMP), &ID);
/// The seats' address.
pub const SEATS: Address = Address::derive_address_const(&[SEATS_SEED], Some(SEATS_BUMP), &ID);
/// The vault of energy tokens.
pub const ENERGY_VAULT: Address = Address::derive_address_const(&[ENERGY_VAULT_SEED], Some(ENERGY_VAULT_BUMP), &ID);
/// The vault of campus credits.
pub const CREDIT_VAULT: Address = Address::derive_address_const(&[CREDIT_VAULT_SEED], Some(CREDIT_VAULT_BUMP), &ID);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bumps_are_the_canonical_ones() {
        for (seed, bump, address) in [
            (MARKET_SEED, MARKET_BUMP, MARKET),
            (SEATS_SEED, SEATS_BUMP, SEATS),
            (ENERGY_VAULT_SEED, ENERGY_VAULT_BUMP, ENERGY_VAULT),
            (CREDIT_VAULT_SEED, CREDIT_VAULT_BUMP, CREDIT_VAULT),
        ] {
            assert_eq!(Address::find_program_address(&[seed], &ID), (address, bump));
        }
    }
}
