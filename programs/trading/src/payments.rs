//! What orders lock, pay and receive. All of it in the units' own arithmetic: u32 x u32 fits u64.

use {
    campus_common::units::{BasisPoints, MicroCredits, OrderWattHours, PricePerKwh, WattHours},
    trading_interface::{EpochBook, Order, Side},
};

/// Terms on which a book is settled, out of its own copy of the parameters.
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
    /// The terms of a book; the price is 0, and nothing filled, before it is cleared.
    pub fn of(book: &EpochBook) -> Self {
        Self { price: book.price, wheeling: book.wheeling, fee: book.fee_bps }
    }

    /// What an order's member receives when it is settled.
    ///
    /// A buyer: the energy it bought, and what of its escrow it does not owe. A seller: the energy that it did not sell, and
    /// the proceeds less the fee. A bid's limit is at least the price, so no buyer owes more than it locked.
    pub fn due(&self, side: Side, order: &Order) -> Due {
        match side {
            Side::Bid => {
                let locked = bid_escrow(order.price, order.quantity, self.wheeling);
                let owed = plus_wheeling(self.price, self.wheeling).cost_ceil(order.filled);
                Due { energy: order.filled.into(), credits: locked.saturating_sub(owed) }
            }
            Side::Ask => {
                let proceeds = self.price.cost_floor(order.filled);
                let fee = self.fee.of_credits(proceeds);
                Due { energy: order.quantity.saturating_sub(order.filled).into(), credits: proceeds.saturating_sub(fee) }
            }
        }
    }
}

/// Tokens that a member receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Energy tokens.
    pub energy: WattHours,
    /// Campus credits.
    pub credits: MicroCredits,
}

/// The price with wheeling on top. Governance bounds both to 10^9, so that the sum fits; beyond, it saturates.
#[inline(always)]
fn plus_wheeling(price: PricePerKwh, wheeling: PricePerKwh) -> PricePerKwh {
    PricePerKwh(price.0.saturating_add(wheeling.0))
}

/// Credits that a bid locks: ceil(quantity x (limit + wheeling) / 1000).
#[inline(always)]
pub fn bid_escrow(limit: PricePerKwh, quantity: OrderWattHours, wheeling: PricePerKwh) -> MicroCredits {
    plus_wheeling(limit, wheeling).cost_ceil(quantity)
}

/// What an order locks, in base units of its side's token.
#[inline(always)]
pub fn escrow(side: Side, order: &Order, wheeling: PricePerKwh) -> u64 {
    match side {
        Side::Bid => bid_escrow(order.price, order.quantity, wheeling).0,
        Side::Ask => u64::from(order.quantity.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(price: u32, quantity: u32, filled: u32) -> Order {
        Order { price: PricePerKwh(price), quantity: OrderWattHours(quantity), filled: OrderWattHours(filled), member: 0 }
    }

    fn terms(price: u32, wheeling: u32, fee: u16) -> Terms {
        Terms { price: PricePerKwh(price), wheeling: PricePerKwh(wheeling), fee: BasisPoints(fee) }
    }

    fn due(energy: u64, credits: u64) -> Due {
        Due { energy: WattHours(energy), credits: MicroCredits(credits) }
    }

    #[test]
    fn a_buyer_gets_energy_and_the_rest_of_its_escrow() {
        let terms = terms(2_000, 100, 50);
        // Locked ceil(1500 x 3.1) = 4650, owes ceil(500 x 2.1) = 1050.
        assert_eq!(terms.due(Side::Bid, &order(3_000, 1_500, 500)), due(500, 3_600));
        assert_eq!(terms.due(Side::Bid, &order(3_000, 1_500, 0)), due(0, 4_650));
        // Rounding is the buyer's: 1 Wh at 2.1 micro-credits costs 3.
        assert_eq!(terms.due(Side::Bid, &order(2_000, 1, 1)), due(1, 0));
        assert_eq!(escrow(Side::Bid, &order(2_000, 1, 0), PricePerKwh(100)), 3);
    }

    #[test]
    fn a_seller_gets_proceeds_less_the_fee_and_what_it_did_not_sell() {
        let terms = terms(2_001, 100, 50);
        // floor(10_500 x 2.001) = 21_010, fee floor(105.05) = 105.
        assert_eq!(terms.due(Side::Ask, &order(1_000, 20_000, 10_500)), due(9_500, 20_905));
        assert_eq!(terms.due(Side::Ask, &order(1_000, 20_000, 0)), due(20_000, 0));
        assert_eq!(escrow(Side::Ask, &order(1_000, 20_000, 0), PricePerKwh(100)), 20_000);
    }

    #[test]
    fn no_split_of_a_trade_pays_out_more_than_came_in() {
        for price in [1, 999, 1_000, 1_001, 123_457] {
            for fee in [0, 1, 50, 1_000] {
                let terms = terms(price, 7, fee);
                let mut locked = 0;
                let mut paid = 0;
                for filled in 1..=40u32 {
                    locked += escrow(Side::Bid, &order(price, filled, 0), PricePerKwh(7));
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
}
