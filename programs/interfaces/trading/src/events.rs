//! What the trading program logs: fixed layouts, from which the market's history can be rebuilt.

use {
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
}

/// A book takes orders from the beginning of its epoch; emitted when it has its full size.
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

/// An order entered a book.
#[event(bytemuck)]
pub struct OrderPlaced {
    /// Credits that a bid locked, energy (Wh) that an ask locked.
    pub escrow: u64,
    /// The epoch.
    pub epoch: Epoch,
    /// The order's member index.
    pub member: u32,
    /// The limit price.
    pub price: PricePerKwh,
    /// The quantity.
    pub quantity: OrderWattHours,
    /// 0 bid, 1 ask.
    pub side: u32,
    /// Its place on its side, from 0, the best.
    pub place: u32,
}

/// An order left a book at its member's wish; its escrow went back.
#[event(bytemuck)]
pub struct OrderCancelled {
    /// Credits or energy (Wh) returned.
    pub escrow: u64,
    /// The epoch.
    pub epoch: Epoch,
    /// The order's member index.
    pub member: u32,
    /// The limit price.
    pub price: PricePerKwh,
    /// The quantity.
    pub quantity: OrderWattHours,
    /// 0 bid, 1 ask.
    pub side: u32,
    /// The place it had on its side.
    pub place: u32,
}

/// The worst order of a full side gave way to a better one; its escrow went back.
#[event(bytemuck)]
pub struct OrderEvicted {
    /// Credits or energy (Wh) returned.
    pub escrow: u64,
    /// The epoch.
    pub epoch: Epoch,
    /// The evicted order's member index.
    pub member: u32,
    /// The limit price.
    pub price: PricePerKwh,
    /// The quantity.
    pub quantity: OrderWattHours,
    /// 0 bid, 1 ask.
    pub side: u32,
    /// The member index of the order that took its place.
    pub evictor: u32,
}

/// A book was cleared.
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

/// An order was settled: its member got both amounts.
#[event(bytemuck)]
pub struct OrderSettled {
    /// Energy that the member received: bought, or offered and not sold.
    pub energy: WattHours,
    /// Credits that the member received: proceeds less the fee, or what of the escrow was not needed.
    pub credits: MicroCredits,
    /// The epoch.
    pub epoch: Epoch,
    /// The order's member index.
    pub member: u32,
    /// Energy that changed hands by this order.
    pub filled: OrderWattHours,
    /// The order's number: bids 0 to 511, asks 512 to 1023.
    pub order: u32,
}

/// A book's every order is settled and the fee account has its due: its bytes are final.
#[event(bytemuck)]
pub struct EpochSettled {
    /// Credits paid to the fee account.
    pub fees: MicroCredits,
    /// The epoch.
    pub epoch: Epoch,
    /// Orders in the book.
    pub orders: u32,
}

/// A final, checkpointed book was removed and its rent returned.
#[event(bytemuck)]
pub struct EpochClosed {
    /// SHA-256 of the final book's data.
    pub book_hash: [u8; 32],
    /// The rent returned, lamports.
    pub rent: u64,
    /// The epoch.
    pub epoch: Epoch,
    /// Zero.
    pub reserved: u32,
}
