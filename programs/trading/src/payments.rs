//! What orders lock, pay and receive. All of it in the units' own arithmetic: u32 x u32 fits u64.

use {
    anchor_lang::prelude::*,
    campus_common::{
        log,
        units::{BasisPoints, MicroCredits, OrderWattHours, PricePerKwh, WattHours, BASIS_POINTS},
    },
    trading_interface::{events::EpochSettled, Asset, BookMut, BookStatus, EpochBook, Order, SeatsMut, Side, TradingError},
};

/// Terms on which a book is paid, out of its own copy of the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The clearing price.
    pub price: PricePerKwh,
    /// What a buyer pays per kWh on top of it.
    pub wheeling: PricePerKwh,
    /// The seller's fee.
    pub fee: BasisPoints,
}

impl Terms {
    /// The terms of a book; in a refund the price is 0, and nothing is filled.
    pub fn of(head: &EpochBook) -> Self {
        Self { price: head.price, wheeling: head.wheeling, fee: head.fee_bps }
    }

    /// What an order's member receives when it is paid.
    ///
    /// A buyer: the energy it bought, and what it locked and does not owe. A seller: the energy that it did not sell, and the proceeds
    /// less the fee. A bid's limit is at least the price, so no buyer owes more than it locked.
    #[inline(always)]
    pub fn due(&self, side: Side, order: &Order) -> Due {
        match side {
            Side::Bid => {
                let locked = bid_lock(order.price, order.quantity, self.wheeling);
                let owed = plus_wheeling(self.price, self.wheeling).cost_ceil(order.filled);
                Due { energy: order.filled.into(), credits: locked.saturating_sub(owed) }
            }
            Side::Ask => {
                let proceeds = self.price.cost_floor(order.filled);
                Due {
                    energy: order.quantity.saturating_sub(order.filled).into(),
                    credits: proceeds.saturating_sub(fee(proceeds, self.fee)),
                }
            }
        }
    }
}

/// What a member receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Energy.
    pub energy: WattHours,
    /// Campus credits.
    pub credits: MicroCredits,
}

/// floor(proceeds x fee / 10,000). An order's proceeds are below 2^54, so that nothing overflows: what `BasisPoints::of_credits` must check
/// for any amount need not be checked here, an order at a time.
#[inline(always)]
fn fee(proceeds: MicroCredits, fee: BasisPoints) -> MicroCredits {
    let (whole, rest) = (proceeds.0 / BASIS_POINTS, proceeds.0 % BASIS_POINTS);
    MicroCredits(whole.wrapping_mul(u64::from(fee.0)).wrapping_add(rest * u64::from(fee.0) / BASIS_POINTS))
}

/// The price with wheeling on top. Governance bounds both to 10^9, so that the sum fits; beyond, it saturates.
#[inline(always)]
fn plus_wheeling(price: PricePerKwh, wheeling: PricePerKwh) -> PricePerKwh {
    PricePerKwh(price.0.saturating_add(wheeling.0))
}

/// Credits that a bid locks: ceil(quantity x (limit + wheeling) / 1000).
#[inline(always)]
fn bid_lock(limit: PricePerKwh, quantity: OrderWattHours, wheeling: PricePerKwh) -> MicroCredits {
    plus_wheeling(limit, wheeling).cost_ceil(quantity)
}

/// What an order locks of its side's asset.
#[inline(always)]
pub fn lock(side: Side, order: &Order, wheeling: PricePerKwh) -> u64 {
    match side {
        Side::Bid => bid_lock(order.price, order.quantity, wheeling).0,
        Side::Ask => u64::from(order.quantity.0),
    }
}

/// What the book has locked of an asset.
#[inline(always)]
pub fn locked(head: &mut EpochBook, asset: Asset) -> &mut u64 {
    match asset {
        Asset::Energy => &mut head.energy_locked.0,
        Asset::Credit => &mut head.credit_locked.0,
    }
}

/// Pay up to `limit` of the book's unpaid orders into their members' seats, bids before asks, each side from the best. With the last of
/// them what is left of the credits goes to the fees, and the book is final.
///
/// A book that is paid in part may wait as long as it likes: what its unpaid orders have locked stays locked, and no other instruction
/// touches it. Seats and locks change by the same sums, and the vaults by nothing.
pub fn pay(book: &mut BookMut, seats: &mut SeatsMut, limit: u16) -> Result<()> {
    let terms = Terms::of(book.head);
    let (bids, orders) = (book.head.bid_count, book.head.order_count());
    let from = book.head.paid;
    let to = from.saturating_add(limit).min(orders);
    let mut total = Due::default();
    if from < bids {
        let due = book.bids().get(usize::from(from)..usize::from(to.min(bids))).ok_or(TradingError::BookInvariant)?;
        total = pay_side::<BID>(due, &terms, seats)?;
    }
    if to > bids {
        let (from, to) = (usize::from(from.saturating_sub(bids)), usize::from(to - bids));
        let due = book.asks().get(from..to).ok_or(TradingError::BookInvariant)?;
        let asks = pay_side::<ASK>(due, &terms, seats)?;
        // Each side is at most 4,096 orders of less than 2^54: the sum does not wrap.
        total.energy.0 = total.energy.0.wrapping_add(asks.energy.0);
        total.credits.0 = total.credits.0.wrapping_add(asks.credits.0);
    }
    let head = &mut *book.head;
    head.energy_locked = head.energy_locked.checked_sub(total.energy).ok_or(TradingError::LockedShort)?;
    head.credit_locked = head.credit_locked.checked_sub(total.credits).ok_or(TradingError::LockedShort)?;
    head.paid = to;
    if to == orders {
        let fees = head.credit_locked;
        seats.head.fees = seats.head.fees.checked_add(fees).ok_or(TradingError::SeatsInvariant)?;
        head.fees = fees;
        head.credit_locked = MicroCredits::ZERO;
        head.set_status(BookStatus::Final);
        log(&EpochSettled { fees, epoch: head.epoch, orders: u32::from(orders) });
    }
    Ok(())
}

const BID: bool = true;
const ASK: bool = false;

/// Pay orders of one side, and add up what they received. The side is known when the program is built: this is the market's longest loop.
#[inline(never)]
fn pay_side<const IS_BID: bool>(orders: &[Order], terms: &Terms, seats: &mut SeatsMut) -> Result<Due> {
    let side = if IS_BID { Side::Bid } else { Side::Ask };
    let (mut energy, mut credits) = (0u64, 0u64);
    for order in orders {
        let due = terms.due(side, order);
        let seat = seats.seat(order.member)?;
        // No seat overflows: all of them together, with what books have locked, are no more than the vaults owe, which is a u64 too; and
        // more than the book has locked is refused by the caller.
        seat.energy.0 = seat.energy.0.wrapping_add(due.energy.0);
        seat.credit.0 = seat.credit.0.wrapping_add(due.credits.0);
        energy = energy.wrapping_add(due.energy.0);
        credits = credits.wrapping_add(due.credits.0);
    }
    Ok(Due { energy: WattHours(energy), credits: MicroCredits(credits) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(price: u32, quantity: u32, filled: u32) -> Order {
        Order {
            price: PricePerKwh(price),
            quantity: OrderWattHours(quantity),
            filled: OrderWattHours(filled),
            number: 0,
            member: 0,
        }
    }

    fn terms(price: u32, wheeling: u32, fee: u16) -> Terms {
        Terms { price: PricePerKwh(price), wheeling: PricePerKwh(wheeling), fee: BasisPoints(fee) }
    }

    fn due(energy: u64, credits: u64) -> Due {
        Due { energy: WattHours(energy), credits: MicroCredits(credits) }
    }

    #[test]
    fn a_buyer_gets_energy_and_the_rest_of_its_lock() {
        let terms = terms(2_000, 100, 50);
        // Locked ceil(1500 x 3.1) = 4650, owes ceil(500 x 2.1) = 1050.
        assert_eq!(terms.due(Side::Bid, &order(3_000, 1_500, 500)), due(500, 3_600));
        assert_eq!(terms.due(Side::Bid, &order(3_000, 1_500, 0)), due(0, 4_650));
        // Rounding is the buyer's: 1 Wh at 2.1 micro-credits costs 3.
        assert_eq!(terms.due(Side::Bid, &order(2_000, 1, 1)), due(1, 0));
        assert_eq!(lock(Side::Bid, &order(2_000, 1, 0), PricePerKwh(100)), 3);
    }

    #[test]
    fn a_seller_gets_proceeds_less_the_fee_and_what_it_did_not_sell() {
        let terms = terms(2_001, 100, 50);
        // floor(10_500 x 2.001) = 21_010, fee floor(105.05) = 105.
        assert_eq!(terms.due(Side::Ask, &order(1_000, 20_000, 10_500)), due(9_500, 20_905));
        assert_eq!(terms.due(Side::Ask, &order(1_000, 20_000, 0)), due(20_000, 0));
        assert_eq!(lock(Side::Ask, &order(1_000, 20_000, 0), PricePerKwh(100)), 20_000);
    }

    #[test]
    fn no_split_of_a_trade_pays_out_more_than_came_in() {
        for price in [1, 999, 1_000, 1_001, 123_457] {
            for fee in [0, 1, 50, 1_000] {
                let terms = terms(price, 7, fee);
                let mut locked = 0;
                let mut paid = 0;
                for filled in 1..=40u32 {
                    locked += lock(Side::Bid, &order(price, filled, 0), PricePerKwh(7));
                    paid += terms.due(Side::Bid, &order(price, filled, filled)).credits.0;
                    paid += terms.due(Side::Ask, &order(1, filled, filled)).credits.0;
                }
                assert!(paid <= locked);
            }
        }
    }

    #[test]
    fn the_largest_orders_do_not_overflow() {
        let terms = terms(1_000_000_000, 1_000_000_000, 1_000);
        let whole = order(1_000_000_000, u32::MAX, u32::MAX);
        assert_eq!(terms.due(Side::Bid, &whole), due(u64::from(u32::MAX), 0));
        assert_eq!(terms.due(Side::Ask, &whole).credits.0, 4_294_967_295_000_000 * 9 / 10);
    }

    #[test]
    fn the_fee_is_the_units_own_for_every_order() {
        for proceeds in [0, 1, 9_999, 10_000, 10_001, 123_456_789, u64::from(u32::MAX) * u64::from(u32::MAX) / 1_000] {
            for bps in [0, 1, 50, 999, 1_000, 10_000] {
                let (amount, share) = (MicroCredits(proceeds), BasisPoints(bps));
                assert_eq!(fee(amount, share), share.of_credits(amount));
            }
        }
    }
}
