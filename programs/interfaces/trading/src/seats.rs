//! What every member has in the market, at `[seats]`: one seat for each member index.

use {
    crate::{Side, TradingError, SEATS, SEATS_BUMP},
    anchor_lang::{
        bytemuck::{Pod, Zeroable},
        prelude::*,
    },
    campus_common::{
        array_space, code,
        units::{Epoch, MicroCredits, PricePerKwh, WattHours},
        CampusAccount, CampusArray, CheckedMut, VERSION,
    },
};

/// Seats that `grow_seats` adds at a time: 10,000 of the 10,240 bytes that an instruction may allocate.
pub const SEATS_PER_STEP: u32 = 250;
/// Bytes of an account with so many seats.
pub const fn seats_space(capacity: u32) -> usize {
    array_space::<Seats>(capacity as usize)
}

code!(
    /// What a seat holds, as instructions name it.
    Asset as StoredAsset {
        /// Energy tokens, in Wh.
        Energy = 0,
        /// Campus credits, in micro-credits.
        Credit = 1,
    }
);

impl Asset {
    /// All bits of [`Seat::payout`] that have a meaning.
    pub const ALL: u8 = Asset::Energy.bit() | Asset::Credit.bit();

    /// The asset that an instruction's argument names.
    #[inline(always)]
    pub fn from_argument(asset: u8) -> Result<Self> {
        Self::from_code(asset).ok_or(TradingError::UnknownAsset.into())
    }

    /// Its bit in [`Seat::payout`].
    #[inline(always)]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What an order of that side locks.
    #[inline(always)]
    pub fn locked_by(side: Side) -> Self {
        match side {
            Side::Bid => Asset::Credit,
            Side::Ask => Asset::Energy,
        }
    }
}

/// The head of the seats; `capacity` seats follow it.
#[account]
pub struct Seats {
    /// Layout version, 1.
    pub version: u8,
    /// Bump of `[seats]`.
    pub bump: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// Seats that follow.
    pub capacity: u32,
    /// Energy that the vault owes: what is in seats and what books have locked.
    pub energy_held: WattHours,
    /// Credits that the vault owes: what is in seats, what books have locked, and the fees.
    pub credit_held: MicroCredits,
    /// Fees, wheeling and roundings that wait for `withdraw_fees`.
    pub fees: MicroCredits,
    /// Zero; for later versions.
    pub reserved: [u8; 32],
}

/// A member's place in the market: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IdlType)]
#[repr(C)]
pub struct Seat {
    /// Energy that is free: in the vault, and locked by no order.
    pub energy: WattHours,
    /// Credits that are free.
    pub credit: MicroCredits,
    /// The epoch in whose book the member ordered last; the next four fields speak of that book.
    pub epoch: Epoch,
    /// The member's bids that rest there.
    pub bids: u16,
    /// The member's asks that rest there.
    pub asks: u16,
    /// No bid of the member that rests there is dearer.
    pub highest_bid: PricePerKwh,
    /// No ask of the member that rests there is cheaper.
    pub lowest_ask: PricePerKwh,
    /// What anyone may pay out to the member's own account: bit 0 energy, bit 1 credits.
    pub payout: u8,
    /// Zero; for later versions.
    pub reserved: [u8; 7],
}

// SAFETY: transparent integers and bytes, no padding, every bit pattern valid.
unsafe impl Zeroable for Seat {}
// SAFETY: likewise.
unsafe impl Pod for Seat {}

impl Seat {
    /// Put in what came free. All seats together hold no more than the tokens' supply, so that it fits; a sum that did not is refused.
    #[inline(always)]
    pub fn give(&mut self, asset: Asset, amount: u64) -> Result<()> {
        let free = match asset {
            Asset::Energy => &mut self.energy.0,
            Asset::Credit => &mut self.credit.0,
        };
        *free = free.checked_add(amount).ok_or(TradingError::SeatsInvariant)?;
        Ok(())
    }

    /// Take out what is free, or refuse.
    #[inline(always)]
    pub fn take(&mut self, asset: Asset, amount: u64) -> Result<()> {
        let (free, short) = match asset {
            Asset::Energy => (&mut self.energy.0, TradingError::NotEnoughEnergy),
            Asset::Credit => (&mut self.credit.0, TradingError::NotEnoughCredit),
        };
        *free = free.checked_sub(amount).ok_or(short)?;
        Ok(())
    }

    /// Make the counts speak of that epoch's book.
    #[inline(always)]
    pub fn turn_to(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.bids = 0;
            self.asks = 0;
        }
    }

    /// The member's orders that rest, both sides.
    #[inline(always)]
    pub fn orders(&self) -> u16 {
        self.bids + self.asks
    }

    /// Whether an order at `price` might trade with one of the member's own on the other side. If not, it certainly does not.
    #[inline(always)]
    pub fn may_cross(&self, side: Side, price: PricePerKwh) -> bool {
        match side {
            Side::Bid => self.asks > 0 && price >= self.lowest_ask,
            Side::Ask => self.bids > 0 && price <= self.highest_bid,
        }
    }

    /// Count an order that enters the book.
    #[inline(always)]
    pub fn enter(&mut self, side: Side, price: PricePerKwh) {
        match side {
            Side::Bid => {
                if self.bids == 0 || price > self.highest_bid {
                    self.highest_bid = price;
                }
                self.bids += 1;
            }
            Side::Ask => {
                if self.asks == 0 || price < self.lowest_ask {
                    self.lowest_ask = price;
                }
                self.asks += 1;
            }
        }
    }

    /// Count an order of that epoch's book that leaves it before the clearing.
    #[inline(always)]
    pub fn leave(&mut self, side: Side, epoch: Epoch) -> Result<()> {
        let count = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if self.epoch != epoch || *count == 0 {
            return Err(TradingError::SeatsInvariant.into());
        }
        *count -= 1;
        Ok(())
    }
}

impl CampusAccount for Seats {
    type Refusal = TradingError;
    const NOT_THIS: TradingError = TradingError::MarketNotInitialized;
    /// No instruction takes two.
    const GIVEN_TWICE: TradingError = TradingError::WrongSeats;
    const PLACE: Option<(Address, TradingError)> = Some((SEATS, TradingError::WrongSeats));
    const PLACE_TEXT: Option<&'static str> = Some("AJh5MGWEErXryWxXMX3qmSEPFXT6wRAH9Ermdb98mvzy");

    /// Constant in the number of seats.
    #[inline(always)]
    fn invariant(&self) -> Result<()> {
        let holds = self.version == VERSION && self.bump == SEATS_BUMP && self.fees <= self.credit_held;
        if !holds {
            return Err(TradingError::SeatsInvariant.into());
        }
        Ok(())
    }
}

impl CampusArray for Seats {
    type Element = Seat;
    const CUT_SHORT: TradingError = TradingError::SeatsInvariant;

    #[inline(always)]
    fn elements(&self) -> usize {
        self.capacity as usize
    }
}

/// The seats, for writing (by the trading program alone).
pub struct SeatsMut<'a> {
    /// The head.
    pub head: &'a mut Seats,
    /// The seats, by member index.
    pub seats: &'a mut [Seat],
}

impl<'a> SeatsMut<'a> {
    /// The one account of seats.
    #[inline(always)]
    pub fn of(account: &'a mut CheckedMut<Seats>) -> Result<Self> {
        let (head, seats) = account.parts()?;
        Ok(Self { head, seats })
    }

    /// A member's seat.
    #[inline(always)]
    pub fn seat(&mut self, member: u32) -> Result<&mut Seat> {
        self.seats.get_mut(member as usize).ok_or(TradingError::NoSeat.into())
    }

    /// What the vault of an asset owes.
    #[inline(always)]
    fn held(&mut self, asset: Asset) -> &mut u64 {
        match asset {
            Asset::Energy => &mut self.head.energy_held.0,
            Asset::Credit => &mut self.head.credit_held.0,
        }
    }

    /// Tokens came into the vault for a member: they are in its seat.
    #[inline(always)]
    pub fn bring(&mut self, member: u32, asset: Asset, amount: u64) -> Result<()> {
        self.seat(member)?.give(asset, amount)?;
        let held = self.held(asset);
        *held = held.checked_add(amount).ok_or(TradingError::SeatsInvariant)?;
        Ok(())
    }

    /// Tokens leave the vault for a member, out of its seat.
    #[inline(always)]
    pub fn fetch(&mut self, member: u32, asset: Asset, amount: u64) -> Result<()> {
        self.seat(member)?.take(asset, amount)?;
        let held = self.held(asset);
        *held = held.checked_sub(amount).ok_or(TradingError::SeatsInvariant)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Seat {
        Seat::zeroed()
    }

    #[test]
    fn the_idl_names_the_seats_address() {
        assert_eq!(Seats::PLACE_TEXT.map(Address::from_str_const), Some(SEATS));
    }

    #[test]
    fn sizes_are_as_published() {
        assert_eq!((seats_space(0), seats_space(1)), (72, 72 + 40));
        assert!(seats_space(SEATS_PER_STEP) <= 10_240);
    }

    #[test]
    fn a_seat_gives_no_more_than_it_has() {
        let mut seat = empty();
        seat.give(Asset::Energy, 5).unwrap();
        assert!(seat.take(Asset::Energy, 6).is_err());
        assert!(seat.take(Asset::Credit, 1).is_err());
        seat.take(Asset::Energy, 5).unwrap();
        assert_eq!(seat, empty());
        seat.give(Asset::Credit, u64::MAX).unwrap();
        assert!(seat.give(Asset::Credit, 1).is_err());
    }

    #[test]
    fn the_bounds_never_miss_an_order_that_rests() {
        let mut seat = empty();
        seat.turn_to(Epoch(7));
        assert!(!seat.may_cross(Side::Bid, PricePerKwh(u32::MAX)) && !seat.may_cross(Side::Ask, PricePerKwh(0)));
        for price in [5, 3, 9] {
            seat.enter(Side::Ask, PricePerKwh(price));
        }
        assert!(seat.may_cross(Side::Bid, PricePerKwh(3)) && !seat.may_cross(Side::Bid, PricePerKwh(2)));
        for price in [1, 2] {
            seat.enter(Side::Bid, PricePerKwh(price));
        }
        assert!(seat.may_cross(Side::Ask, PricePerKwh(2)) && !seat.may_cross(Side::Ask, PricePerKwh(3)));
        assert_eq!(seat.orders(), 5);
        for _ in 0..3 {
            seat.leave(Side::Ask, Epoch(7)).unwrap();
        }
        assert!(!seat.may_cross(Side::Bid, PricePerKwh(u32::MAX)));
        assert!(seat.leave(Side::Ask, Epoch(7)).is_err() && seat.leave(Side::Bid, Epoch(8)).is_err());
        seat.enter(Side::Ask, PricePerKwh(50));
        assert!(!seat.may_cross(Side::Bid, PricePerKwh(49)));
        seat.turn_to(Epoch(8));
        assert_eq!(seat.orders(), 0);
    }
}
