//! What the trading program logs: fixed layouts. A book's orders are not among them: the final book says it all, and is a leaf of the log.

use {
    crate::StoredAsset,
    anchor_lang::prelude::*,
    campus_common::units::{Epoch, MicroCredits, OrderWattHours, PricePerKwh, WattHours},
};

/// The market was made.
#[event(bytemuck)]
pub struct MarketInitialized {
    /// Credit account that receives fees.
    pub fee_account: Address,
    /// The first reference price.
    pub reference_price: PricePerKwh,
    /// Orders that a side of each book holds.
    pub orders_per_side: u32,
}

/// Fees go to another account from now on.
#[event(bytemuck)]
pub struct FeeAccountChanged {
    /// The account until now.
    pub before: Address,
    /// The account from now on.
    pub fee_account: Address,
}

/// Fees were paid to the fee account.
#[event(bytemuck)]
pub struct FeesWithdrawn {
    /// How much.
    pub amount: MicroCredits,
}

/// Tokens came from a token account into a member's seat.
#[event(bytemuck)]
pub struct Deposited {
    /// How much: Wh or micro-credits.
    pub amount: u64,
    /// Member index.
    pub member: u32,
    /// Which token.
    pub asset: StoredAsset,
    /// Zero.
    pub padding: [u8; 3],
}

/// Tokens left a member's seat for a token account.
#[event(bytemuck)]
pub struct Withdrawn {
    /// Where they went.
    pub destination: Address,
    /// How much: Wh or micro-credits.
    pub amount: u64,
    /// Member index.
    pub member: u32,
    /// Which token.
    pub asset: StoredAsset,
    /// Zero.
    pub padding: [u8; 3],
}

/// A book takes orders from the beginning of its epoch.
#[event(bytemuck)]
pub struct EpochOpened {
    /// The epoch.
    pub epoch: Epoch,
    /// Lowest price of an order.
    pub feed_in_price: PricePerKwh,
    /// Highest price of an order.
    pub retail_price: PricePerKwh,
    /// What a buyer pays per kWh on top of the price.
    pub wheeling: PricePerKwh,
}

/// A book has its price, and its orders are filled.
#[event(bytemuck)]
pub struct EpochCleared {
    /// The epoch.
    pub epoch: Epoch,
    /// The clearing price; 0 where nothing traded.
    pub price: PricePerKwh,
    /// The lowest price that clears the book.
    pub lowest_price: PricePerKwh,
    /// The highest price that clears the book.
    pub highest_price: PricePerKwh,
    /// Energy that changed hands.
    pub volume: OrderWattHours,
    /// The reference price before the clearing.
    pub reference_price: PricePerKwh,
    /// The reference price after it.
    pub new_reference_price: PricePerKwh,
    /// Bids in the book.
    pub bids: u16,
    /// Asks in the book.
    pub asks: u16,
}

/// A book that was never cleared is refunded whole.
#[event(bytemuck)]
pub struct EpochRefunded {
    /// Energy (Wh) to return.
    pub energy: WattHours,
    /// Credits to return.
    pub credits: MicroCredits,
    /// The epoch.
    pub epoch: Epoch,
    /// Orders in the book.
    pub orders: u32,
}

/// A book's every order is paid into its member's seat: its bytes are final.
#[event(bytemuck)]
pub struct EpochSettled {
    /// Fees, wheeling and roundings, which wait for withdraw_fees.
    pub fees: MicroCredits,
    /// The epoch.
    pub epoch: Epoch,
    /// Orders in the book.
    pub orders: u32,
}
