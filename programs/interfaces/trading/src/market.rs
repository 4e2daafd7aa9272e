//! The market: one per deployment, at `[market]`.

use {
    crate::{TradingError, MARKET, MARKET_BUMP, MAX_ORDERS_PER_SIDE},
    anchor_lang::prelude::*,
    campus_common::{
        borrow,
        units::{Epoch, MicroCredits, PricePerKwh, WattHours},
        CampusAccount, VERSION,
    },
};

/// The energy market of the campus: its reference price, where its tokens lie, and how far its books have come.
///
/// Its address owns both vaults, so only the trading program moves what members have in the market.
#[account]
pub struct Market {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of `[market]`.
    pub bump: u8,
    /// Orders that a side of each book holds; fixed when the market is made.
    pub orders_per_side: u16,
    /// Price of the last epoch that traded at least the minimum volume; the next clearing price is the nearest to it.
    pub reference_price: PricePerKwh,
    /// The epoch which set the reference price; 0 before the first.
    pub reference_epoch: Epoch,
    /// How many epochs were cleared.
    pub epochs_cleared: u32,
    /// Energy that changed hands since the market began.
    pub traded: WattHours,
    /// What that energy cost at the clearing prices, rounded down for each epoch.
    pub turnover: MicroCredits,
    /// Mint of the energy token.
    pub energy_mint: Address,
    /// Mint of the campus credit.
    pub credit_mint: Address,
    /// Vault of the energy token: what is in seats, and what asks have locked.
    pub energy_vault: Address,
    /// Vault of the campus credit: what is in seats, what bids have locked, and the fees.
    pub credit_vault: Address,
    /// Credit account that receives fees, wheeling and what rounding leaves over.
    pub fee_account: Address,
    /// The epoch of the first book; 0 before there is one.
    pub first_epoch: Epoch,
    /// The epoch of the last book that was opened; 0 before the first.
    pub latest_epoch: Epoch,
    /// The epoch of the last book that was cleared or whose refund began; 0 before the first. Books follow one another in this.
    pub settled_epoch: Epoch,
    /// Zero.
    pub padding: [u8; 4],
    /// Zero; for later versions.
    pub reserved: [u8; 48],
}

impl Market {
    /// The one Market, of a program that does not have it as [`Checked`](campus_common::Checked): where there may be none yet.
    #[inline(always)]
    pub fn load(view: &AccountView) -> Result<&Self> {
        borrow(view)
    }
}

impl CampusAccount for Market {
    type Refusal = TradingError;
    const NOT_THIS: TradingError = TradingError::MarketNotInitialized;
    /// No instruction takes two.
    const GIVEN_TWICE: TradingError = TradingError::WrongMarket;
    const PLACE: Option<(Address, TradingError)> = Some((MARKET, TradingError::WrongMarket));
    const PLACE_TEXT: Option<&'static str> = Some("4WPUHiUymCAeUNGeUrx6S7VsTS1J9H9J2P8vjTNJpxsA");

    fn invariant(&self) -> Result<()> {
        let holds = self.version == VERSION
            && self.bump == MARKET_BUMP
            && self.orders_per_side > 0
            && self.orders_per_side <= MAX_ORDERS_PER_SIDE
            && self.reference_price.0 > 0
            && (self.traded.0 > 0 || self.turnover.0 == 0)
            && self.first_epoch <= self.latest_epoch
            && self.settled_epoch <= self.latest_epoch
            && self.reference_epoch <= self.settled_epoch;
        if !holds {
            return Err(TradingError::MarketInvariant.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idl_names_the_markets_address() {
        assert_eq!(Market::PLACE_TEXT.map(Address::from_str_const), Some(MARKET));
    }
}
