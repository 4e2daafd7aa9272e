//! One epoch's order book, at `[book, epoch as u32 LE]`.

use {
    crate::TradingError,
    anchor_lang::{
        bytemuck::{Pod, Zeroable},
        prelude::*,
    },
    campus_common::{
        load, load_mut,
        units::{BasisPoints, Epoch, MicroCredits, OrderWattHours, PricePerKwh, Seconds, UnixTime, WattHours},
        VERSION,
    },
};

/// Most orders that a side holds.
pub const ORDERS_PER_SIDE: usize = 512;
/// Buckets of a side's member index (see [`EpochBook::bid_members`]).
pub const MEMBER_BUCKETS: usize = 256;
/// Bytes of a whole book account, discriminator included.
pub const BOOK_SPACE: usize = 8 + core::mem::size_of::<EpochBook>();
/// Bytes that `open_epoch` makes: what one instruction may allocate. `grow_book` adds the rest.
pub const OPENING_SPACE: usize = 10_240;
/// Whole epochs after a book's end from which on anybody may refund it, if it was never cleared.
pub const REFUND_AFTER_EPOCHS: u32 = 8;

/// A side of the book, as instructions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// 0: orders to buy energy, dearest first; they lock credits.
    Bid,
    /// 1: orders to sell energy, cheapest first; they lock energy tokens.
    Ask,
}

impl Side {
    /// The side that an instruction's argument names.
    #[inline(always)]
    pub fn from_argument(side: u8) -> Result<Self> {
        match side {
            0 => Ok(Side::Bid),
            1 => Ok(Side::Ask),
            _ => Err(TradingError::UnknownSide.into()),
        }
    }

    /// The argument that names this side.
    #[inline(always)]
    pub fn argument(self) -> u8 {
        self as u8
    }

    /// The other side.
    #[inline(always)]
    pub fn opposite(self) -> Self {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }

    /// Whether `price` is strictly better than `than` on this side: dearer for a bid, cheaper for an ask.
    #[inline(always)]
    pub fn is_better(self, price: PricePerKwh, than: PricePerKwh) -> bool {
        match self {
            Side::Bid => price > than,
            Side::Ask => price < than,
        }
    }

    /// Whether an order of this side at `price` would trade with one of the other side at `resting`.
    #[inline(always)]
    pub fn crosses(self, price: PricePerKwh, resting: PricePerKwh) -> bool {
        match self {
            Side::Bid => price >= resting,
            Side::Ask => price <= resting,
        }
    }
}

/// A limit order: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IdlType)]
#[repr(C)]
pub struct Order {
    /// The most that a buyer pays per kWh (wheeling comes on top), or the least that a seller takes.
    pub price: PricePerKwh,
    /// Energy offered or wanted.
    pub quantity: OrderWattHours,
    /// Energy that the auction gave it; 0 until the book is cleared.
    pub filled: OrderWattHours,
    /// Member index of the registry's User whose order it is.
    pub member: u32,
}

// SAFETY: four transparent u32, no padding, every bit pattern valid.
unsafe impl Zeroable for Order {}
// SAFETY: likewise.
unsafe impl Pod for Order {}

/// Where a book stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BookStatus {
    /// 0: `open_epoch` made it, `grow_book` has yet to complete it.
    Growing = 0,
    /// 1: takes orders during its epoch, then waits to be cleared.
    Open = 1,
    /// 2: cleared; orders are being settled.
    Cleared = 2,
    /// 3: never cleared; orders are being refunded.
    Refunding = 3,
    /// 4: everything is paid, the fee account too. Its bytes are final: their SHA-256 is `EpochCheckpoint.book_hash`.
    Final = 4,
}

/// The order book of one market epoch.
///
/// Made by `open_epoch` with the parameters of that moment, so that no later change of governance's Config touches orders that
/// rest. The hash that a checkpoint pins is SHA-256 over the account's whole data (discriminator included) once its status is
/// Final; nothing changes it from then on until `close_epoch` removes it.
#[account]
pub struct EpochBook {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of `[book, epoch]`.
    pub bump: u8,
    /// 0 growing, 1 open, 2 cleared, 3 refunding, 4 final.
    pub status: u8,
    /// Zero.
    pub reserved0: u8,
    /// The epoch whose book this is: orders are taken during it.
    pub epoch: Epoch,
    /// When the epoch begins.
    pub opens_at: UnixTime,
    /// When the epoch ends.
    pub closes_at: UnixTime,
    /// Who paid the rent and gets it back.
    pub rent_payer: Address,
    /// Length of an epoch.
    pub epoch_seconds: Seconds,
    /// Lowest price that an order may name.
    pub feed_in_price: PricePerKwh,
    /// Highest price that an order may name.
    pub retail_price: PricePerKwh,
    /// What a buyer pays per kWh on top of the price, for the network.
    pub wheeling: PricePerKwh,
    /// Smallest quantity of an order.
    pub min_order: OrderWattHours,
    /// Largest quantity of an order.
    pub max_order: OrderWattHours,
    /// No cancelling in this many last seconds of the epoch.
    pub cancel_cutoff_seconds: Seconds,
    /// Least volume with which this epoch moves the market's reference price.
    pub min_reference_volume: OrderWattHours,
    /// Fee on the seller's proceeds, rounded down.
    pub fee_bps: BasisPoints,
    /// Most orders, both sides together, that a member may have in this book.
    pub max_orders_per_member: u16,
    /// Bids in the book.
    pub bid_count: u16,
    /// Asks in the book.
    pub ask_count: u16,
    /// Sum of the bids' quantities.
    pub bid_quantity: OrderWattHours,
    /// Sum of the asks' quantities.
    pub ask_quantity: OrderWattHours,
    /// Energy that the market's vault holds for this book.
    pub energy_escrow: WattHours,
    /// Credits that the market's vault holds for this book.
    pub credit_escrow: MicroCredits,
    /// Credits paid to the fee account: fees, wheeling, and what rounding left over.
    pub fees_paid: MicroCredits,
    /// When the book was cleared or its refund began; 0 before.
    pub cleared_at: UnixTime,
    /// The market's reference price as the clearing found it.
    pub reference_price: PricePerKwh,
    /// The clearing price; 0 where nothing traded.
    pub price: PricePerKwh,
    /// The lowest price that would have cleared the book with the same volume.
    pub lowest_price: PricePerKwh,
    /// The highest price that would have cleared the book with the same volume.
    pub highest_price: PricePerKwh,
    /// Energy that changed hands.
    pub volume: OrderWattHours,
    /// Orders settled.
    pub settled_count: u32,
    /// One bit an order, set when it is settled: bit i of word w is order 64 w + i; bids are orders 0 to 511, asks 512 to 1023.
    pub settled: [u64; 16],
    /// Zero; room for later fields.
    pub reserved: [u8; 64],
    /// How many bids come from members whose index has this low byte: an upper bound on a member's orders without a search.
    pub bid_members: [u16; 256],
    /// The same of the asks.
    pub ask_members: [u16; 256],
    /// Bids, dearest first, then in order of arrival; `bid_count` of them.
    pub bids: [Order; 512],
    /// Asks, cheapest first, then in order of arrival; `ask_count` of them.
    pub asks: [Order; 512],
}

/// Why an account is refused as a book: it may be one that has yet to grow.
#[inline(always)]
fn wrong_book(view: &AccountView) -> TradingError {
    if view.data_len() == OPENING_SPACE && view.owned_by(&crate::ID) {
        TradingError::BookNotGrown
    } else {
        TradingError::WrongBook
    }
}

impl EpochBook {
    /// The grown book of some epoch. The trading program makes EpochBooks at `[book, epoch]` and nowhere else, so that owner and
    /// discriminator prove the address; which epoch's it is the caller compares.
    #[inline(always)]
    pub fn load<'a>(view: &AccountView) -> Result<&'a Self> {
        load(view, wrong_book(view))
    }

    /// The grown book of some epoch, for writing (by the trading program alone).
    #[inline(always)]
    pub fn load_mut<'a>(view: &AccountView) -> Result<&'a mut Self> {
        load_mut(view, wrong_book(view))
    }

    /// Where the book stands.
    #[inline(always)]
    pub fn status(&self) -> Result<BookStatus> {
        match self.status {
            0 => Ok(BookStatus::Growing),
            1 => Ok(BookStatus::Open),
            2 => Ok(BookStatus::Cleared),
            3 => Ok(BookStatus::Refunding),
            4 => Ok(BookStatus::Final),
            _ => Err(TradingError::BookInvariant.into()),
        }
    }

    /// Orders in the book, both sides.
    #[inline(always)]
    pub fn order_count(&self) -> u32 {
        u32::from(self.bid_count) + u32::from(self.ask_count)
    }

    /// The orders of one side, best first.
    #[inline(always)]
    pub fn side(&self, side: Side) -> &[Order] {
        match side {
            Side::Bid => &self.bids[..usize::from(self.bid_count).min(ORDERS_PER_SIDE)],
            Side::Ask => &self.asks[..usize::from(self.ask_count).min(ORDERS_PER_SIDE)],
        }
    }

    /// From when on anybody may refund the book if it was never cleared.
    #[inline(always)]
    pub fn refundable_from(&self) -> UnixTime {
        UnixTime(self.closes_at.0.saturating_add(i64::from(self.epoch_seconds.0).saturating_mul(i64::from(REFUND_AFTER_EPOCHS))))
    }

    /// What must hold after every instruction that changes the book; constant in the number of orders.
    #[inline(always)]
    pub fn invariant(&self) -> Result<()> {
        let orders = self.order_count();
        let escrow_fits = match self.status {
            // An ask locks just its quantity, so the vault's share is known to the Wh while nothing is settled.
            0 | 1 => {
                self.energy_escrow.0 == u64::from(self.ask_quantity.0)
                    && (self.credit_escrow.0 == 0) == (self.bid_count == 0)
                    && self.settled_count == 0
            }
            2 | 3 => self.volume.0 <= self.bid_quantity.0.min(self.ask_quantity.0),
            4 => self.energy_escrow.0 == 0 && self.credit_escrow.0 == 0 && self.settled_count == orders,
            _ => false,
        };
        let holds = self.version == VERSION
            && usize::from(self.bid_count) <= ORDERS_PER_SIDE
            && usize::from(self.ask_count) <= ORDERS_PER_SIDE
            && (self.bid_count == 0) == (self.bid_quantity.0 == 0)
            && (self.ask_count == 0) == (self.ask_quantity.0 == 0)
            && self.settled_count <= orders
            && escrow_fits;
        require!(holds, TradingError::BookInvariant);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_needs_exactly_one_growth() {
        assert_eq!(core::mem::size_of::<Order>(), 16);
        assert!(BOOK_SPACE > OPENING_SPACE && BOOK_SPACE <= 2 * OPENING_SPACE);
        assert_eq!(BOOK_SPACE, 17_768);
    }
}
