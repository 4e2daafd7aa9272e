//! The order book of one epoch, at `[book, slot as u8]`: a ring of [`BOOKS`] accounts that take their turns.

use {
    crate::TradingError,
    anchor_lang::{
        bytemuck::{Pod, Zeroable},
        prelude::*,
    },
    campus_common::{
        array_space, borrow_array, code,
        units::{BasisPoints, Epoch, MicroCredits, OrderWattHours, PricePerKwh, Seconds, UnixTime, WattHours},
        CampusAccount, CampusArray, CheckedMut, VERSION,
    },
    core::mem::size_of,
};

/// Books in the ring. An epoch's book lies in slot epoch mod this, and its place is taken again that many epochs later: time enough for a
/// book that nobody clears to be refunded (9 epochs from its beginning) and checkpointed.
pub const BOOKS: u32 = 16;
/// The most that a market may choose as its orders a side.
pub const MAX_ORDERS_PER_SIDE: u16 = 4_096;
/// Whole epochs after a book's end from which on anybody may refund it, if it was never cleared.
pub const REFUND_AFTER_EPOCHS: u32 = 8;
/// Bytes of a book's head, discriminator included; its bids, then its asks, follow directly.
pub const BOOK_HEAD: usize = book_space(0);

/// Bytes of a book of so many orders a side.
pub const fn book_space(orders_per_side: u16) -> usize {
    array_space::<EpochBook>(2 * orders_per_side as usize)
}

code!(
    /// A side of the book, as instructions name it.
    Side as StoredSide {
        /// Orders to buy energy, dearest first; they lock credits.
        Bid = 0,
        /// Orders to sell energy, cheapest first; they lock energy.
        Ask = 1,
    }
);

impl Side {
    /// The side that an instruction's argument names.
    #[inline(always)]
    pub fn from_argument(side: u8) -> Result<Self> {
        Self::from_code(side).ok_or(TradingError::UnknownSide.into())
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

    /// A number that is the smaller the better the price.
    #[inline(always)]
    pub fn rank(self, price: PricePerKwh) -> u32 {
        match self {
            Side::Bid => !price.0,
            Side::Ask => price.0,
        }
    }
}

/// A limit order: 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IdlType)]
#[repr(C)]
pub struct Order {
    /// The most that a buyer pays per kWh (wheeling comes on top), or the least that a seller takes.
    pub price: PricePerKwh,
    /// Which order of its book it is, in order of arrival, both sides together, from 0. Equal prices stand in this order.
    pub number: u32,
    /// Energy offered or wanted.
    pub quantity: OrderWattHours,
    /// Energy that the auction gave it; 0 until the book is cleared.
    pub filled: OrderWattHours,
    /// Member index of the registry's User whose order it is.
    pub member: u32,
}

// SAFETY: five transparent u32, no padding, every bit pattern valid.
unsafe impl Zeroable for Order {}
// SAFETY: likewise.
unsafe impl Pod for Order {}

code!(
    /// Where a book stands in its life.
    BookStatus as StoredBookStatus {
        /// `grow_book` has yet to complete it.
        Growing = 0,
        /// Complete, and no epoch's yet.
        Vacant = 1,
        /// Takes orders during its epoch, then waits to be cleared.
        Open = 2,
        /// It has its price, and its orders are being paid.
        Clearing = 3,
        /// Nobody cleared it in time; its orders are being refunded.
        Refunding = 4,
        /// Everything is paid. Its bytes are final until the next epoch of its slot takes its place.
        Final = 5,
    }
);

/// The head of one market epoch's order book; `capacity` bids and as many asks follow it.
///
/// `open_epoch` gives it the parameters of its epoch, so that no later change of governance's Config touches orders that rest.
#[account]
pub struct EpochBook {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of `[book, slot]`.
    pub bump: u8,
    /// BookStatus: 0 growing, 1 vacant, 2 open, 3 clearing, 4 refunding, 5 final.
    status: StoredBookStatus,
    /// Its slot in the ring: epoch mod 16.
    pub slot: u8,
    /// The epoch whose book this is: orders are taken during it. 0 while vacant.
    pub epoch: Epoch,
    /// When the epoch begins.
    pub opens_at: UnixTime,
    /// From when on no order is placed or cancelled any more.
    pub cutoff_at: UnixTime,
    /// When the epoch ends.
    pub closes_at: UnixTime,
    /// When the book was cleared or its refund began; 0 before.
    pub cleared_at: UnixTime,
    /// Energy that the book's unpaid orders have locked.
    pub energy_locked: WattHours,
    /// Credits that the book's unpaid orders have locked.
    pub credit_locked: MicroCredits,
    /// Fees, wheeling and what rounding left over; known when the book is final.
    pub fees: MicroCredits,
    /// The epoch of the book that was opened before this one, which is cleared or refunded before it; 0 for the first.
    pub previous: Epoch,
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
    /// Largest quantity of an order: governance's, and never more than a full side of such orders fits in u32.
    pub max_order: OrderWattHours,
    /// Least volume with which this epoch moves the market's reference price.
    pub min_reference_volume: OrderWattHours,
    /// Fee on the seller's proceeds, rounded down.
    pub fee_bps: BasisPoints,
    /// Most orders, both sides together, that a member may have in this book.
    pub max_orders_per_member: u16,
    /// Orders that a side holds.
    pub capacity: u16,
    /// Bids in the book.
    pub bid_count: u16,
    /// Asks in the book.
    pub ask_count: u16,
    /// Orders that are paid: bids from the best, then asks from the best.
    pub paid: u16,
    /// Sum of the bids' quantities.
    pub bid_quantity: OrderWattHours,
    /// Sum of the asks' quantities.
    pub ask_quantity: OrderWattHours,
    /// Number of the next order.
    pub next_number: u32,
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
    /// Zero.
    pub padding: [u8; 4],
    /// Zero; for later versions.
    pub reserved: [u8; 64],
}

impl EpochBook {
    /// Where the book stands.
    #[inline(always)]
    pub fn status(&self) -> Result<BookStatus> {
        self.status.get().ok_or(TradingError::BookInvariant.into())
    }

    /// Whether the book stands there.
    #[inline(always)]
    pub fn is(&self, status: BookStatus) -> bool {
        self.status == status
    }

    /// Move the book on (by the trading program alone).
    #[inline(always)]
    pub fn set_status(&mut self, status: BookStatus) {
        self.status = status.into();
    }

    /// Orders in the book, both sides.
    #[inline(always)]
    pub fn order_count(&self) -> u16 {
        self.bid_count + self.ask_count
    }

    /// From when on anybody may refund the book if it was never cleared.
    #[inline(always)]
    pub fn refundable_from(&self) -> UnixTime {
        UnixTime(self.closes_at.0.saturating_add(i64::from(self.epoch_seconds.0).saturating_mul(i64::from(REFUND_AFTER_EPOCHS))))
    }
}

impl CampusAccount for EpochBook {
    type Refusal = TradingError;
    const NOT_THIS: TradingError = TradingError::WrongBook;
    /// No instruction takes two.
    const GIVEN_TWICE: TradingError = TradingError::WrongBook;

    /// Constant in the number of orders.
    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        let paid = self.paid;
        let orders = self.order_count();
        let money_fits = match self.status()? {
            BookStatus::Growing | BookStatus::Vacant => orders == 0 && self.energy_locked.0 == 0 && self.credit_locked.0 == 0,
            // An ask locks just its quantity, so that the energy locked is known to the Wh while nothing is paid.
            BookStatus::Open => {
                self.energy_locked.0 == u64::from(self.ask_quantity.0)
                    && (self.credit_locked.0 == 0) == (self.bid_count == 0)
                    && paid == 0
            }
            BookStatus::Clearing | BookStatus::Refunding => {
                self.volume <= self.bid_quantity && self.volume <= self.ask_quantity && paid < orders
            }
            BookStatus::Final => self.energy_locked.0 == 0 && self.credit_locked.0 == 0 && paid == orders,
        };
        let holds = self.version == VERSION
            && self.bid_count <= self.capacity
            && self.ask_count <= self.capacity
            && (self.bid_count == 0) == (self.bid_quantity.0 == 0)
            && (self.ask_count == 0) == (self.ask_quantity.0 == 0)
            && money_fits;
        if !holds {
            return Err(TradingError::BookInvariant.into());
        }
        Ok(())
    }
}

impl CampusArray for EpochBook {
    type Element = Order;
    const CUT_SHORT: TradingError = TradingError::BookNotGrown;

    #[inline(always)]
    fn elements(&self) -> usize {
        2 * usize::from(self.capacity)
    }
}

/// A whole book for reading: its head, and the account's bytes.
///
/// The trading program makes EpochBooks at `[book, slot]` and nowhere else, so that owner and discriminator prove the address; which epoch's
/// it is the caller compares.
pub struct Book<'a> {
    /// The head.
    pub head: &'a EpochBook,
    data: &'a [u8],
}

impl<'a> Book<'a> {
    /// The book in `view`, of a program that does not have it as [`Checked`](campus_common::Checked): where there may be none yet.
    #[inline(always)]
    pub fn load(view: &'a AccountView) -> Result<Self> {
        let (head, data) = borrow_array(view)?;
        Ok(Self { head, data })
    }

    /// The book that the instruction writes.
    #[inline(always)]
    pub fn of(account: &'a CheckedMut<EpochBook>) -> Result<Self> {
        Ok(Self { head: account, data: account.bytes()? })
    }

    /// SHA-256 of a final book: over the bytes of its head (discriminator included), of its bids and of its asks, as many as it has. It is
    /// what a checkpoint pins, and those bytes are the log's leaf.
    pub fn hash(&self) -> [u8; 32] {
        let side = usize::from(self.head.capacity) * size_of::<Order>();
        let bids = usize::from(self.head.bid_count.min(self.head.capacity)) * size_of::<Order>();
        let asks = usize::from(self.head.ask_count.min(self.head.capacity)) * size_of::<Order>();
        sha256([&self.data[..BOOK_HEAD + bids], &self.data[BOOK_HEAD + side..BOOK_HEAD + side + asks]])
    }
}

/// A whole book for writing (by the trading program alone): its head, and the room for its orders.
pub struct BookMut<'a> {
    /// The head.
    pub head: &'a mut EpochBook,
    /// Room for `capacity` bids, dearest first, then in order of arrival; `bid_count` are there, what follows has no meaning.
    pub bids: &'a mut [Order],
    /// Room for `capacity` asks, cheapest first, then in order of arrival; `ask_count` are there, what follows has no meaning.
    pub asks: &'a mut [Order],
}

impl<'a> BookMut<'a> {
    /// The book that the instruction writes.
    #[inline(always)]
    pub fn of(account: &'a mut CheckedMut<EpochBook>) -> Result<Self> {
        let (head, orders) = account.parts()?;
        let (bids, asks) = orders.split_at_mut(usize::from(head.capacity));
        Ok(Self { head, bids, asks })
    }

    /// The bids that are there.
    #[inline(always)]
    pub fn bids(&self) -> &[Order] {
        &self.bids[..usize::from(self.head.bid_count)]
    }

    /// The asks that are there.
    #[inline(always)]
    pub fn asks(&self) -> &[Order] {
        &self.asks[..usize::from(self.head.ask_count)]
    }
}

/// SHA-256 over two slices, one after the other.
fn sha256(parts: [&[u8]; 2]) -> [u8; 32] {
    #[cfg(target_os = "solana")]
    {
        let mut digest = [0; 32];
        // SAFETY: two slices as (pointer, length), and 32 bytes to write into.
        unsafe { anchor_lang::pinocchio::syscalls::sol_sha256(parts.as_ptr() as *const u8, 2, digest.as_mut_ptr()) };
        digest
    }
    #[cfg(not(target_os = "solana"))]
    anchor_lang::sha256(&parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_published() {
        assert_eq!((BOOK_HEAD, size_of::<Order>()), (216, 20));
        assert_eq!(book_space(512), 20_696);
        assert_eq!(BOOK_HEAD % 8, 0);
        assert!(2 * u32::from(MAX_ORDERS_PER_SIDE) <= u32::from(u16::MAX));
    }
}
