//! The mints' addresses, and the Retirement account.

use {
    crate::EnergyTokenError,
    anchor_lang::prelude::*,
    campus_common::{
        units::{BillingPeriod, MicroCredits, WattHours},
        CampusAccount, VERSION,
    },
};

/// Seed of the energy mint.
pub const ENERGY_MINT_SEED: &[u8] = b"energy_mint";
/// The energy token's mint: 3 decimals, so the base unit is 1 Wh.
pub const ENERGY_MINT: Address = Address::derive_address_const(&[ENERGY_MINT_SEED], Some(ENERGY_MINT_BUMP), &crate::ID);
/// Bump of that address.
pub const ENERGY_MINT_BUMP: u8 = 255;
/// Decimals of the energy token (1 token = 1 kWh).
pub const ENERGY_DECIMALS: u8 = 3;

/// Seed of the credit mint.
pub const CREDIT_MINT_SEED: &[u8] = b"credit_mint";
/// The campus credit's mint: 6 decimals, so the base unit is 1 micro-credit.
pub const CREDIT_MINT: Address = Address::derive_address_const(&[CREDIT_MINT_SEED], Some(CREDIT_MINT_BUMP), &crate::ID);
/// Bump of that address.
pub const CREDIT_MINT_BUMP: u8 = 254;
/// Decimals of the campus credit.
pub const CREDIT_DECIMALS: u8 = 6;

/// Seed of the mint authority.
pub const MINT_AUTHORITY_SEED: &[u8] = b"mint_authority";
/// Mint authority of both mints: an address of the program, for which nobody holds a key.
pub const MINT_AUTHORITY: Address = Address::derive_address_const(&[MINT_AUTHORITY_SEED], Some(MINT_AUTHORITY_BUMP), &crate::ID);
/// Bump of that address.
pub const MINT_AUTHORITY_BUMP: u8 = 254;

/// Seed of a Retirement, before the member (the wallet that it registered with).
pub const RETIRED_SEED: &[u8] = b"retired";

/// What a member retired, by billing period and reason; at `[retired, member]`.
#[account]
pub struct Retirement {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of this account's address.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// The period that `*_open` counts; `*_previous` counts the one before.
    pub period: BillingPeriod,
    /// The member: the wallet that it registered with.
    pub wallet: Address,
    /// Retired against withdrawals of `period`.
    pub consumption_open: WattHours,
    /// Retired against withdrawals of the period before.
    pub consumption_previous: WattHours,
    /// Fed in during `period`.
    pub feed_in_open: WattHours,
    /// Fed in during the period before.
    pub feed_in_previous: WattHours,
    /// Retired against withdrawals, ever.
    pub consumption_total: WattHours,
    /// Fed in, ever.
    pub feed_in_total: WattHours,
    /// Credits received for feed-in, ever.
    pub feed_in_credits: MicroCredits,
    /// Zero; for later versions.
    pub reserved: [u8; 64],
}

impl CampusAccount for Retirement {
    type Refusal = EnergyTokenError;
    const NOT_THIS: EnergyTokenError = EnergyTokenError::WrongRetirement;
    /// No instruction takes two.
    const GIVEN_TWICE: EnergyTokenError = EnergyTokenError::WrongRetirement;

    fn invariant(&self) -> Result<()> {
        let consumption = self.consumption_open.checked_add(self.consumption_previous);
        let feed_in = self.feed_in_open.checked_add(self.feed_in_previous);
        let (Some(consumption), Some(feed_in)) = (consumption, feed_in) else {
            return Err(EnergyTokenError::RetirementInvariant.into());
        };
        if self.version != VERSION || consumption > self.consumption_total || feed_in > self.feed_in_total {
            return Err(EnergyTokenError::RetirementInvariant.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bumps_are_the_canonical_ones() {
        for (seed, bump, address) in [
            (ENERGY_MINT_SEED, ENERGY_MINT_BUMP, ENERGY_MINT),
            (CREDIT_MINT_SEED, CREDIT_MINT_BUMP, CREDIT_MINT),
            (MINT_AUTHORITY_SEED, MINT_AUTHORITY_BUMP, MINT_AUTHORITY),
        ] {
            assert_eq!(Address::find_program_address(&[seed], &crate::ID), (address, bump));
        }
    }
}
