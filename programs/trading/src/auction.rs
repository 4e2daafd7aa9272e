//! The call auction: one price for a whole book, found and shared out in integers.
//!
//! Bids come dearest first, asks cheapest first, equal prices in order of arrival. Every function is linear in the
//! number of orders, whatever the orders are: nobody can place orders that make the clearing run out of compute units.
//!
//! - **Volume.** Bids and asks are matched from the best down while the bid reaches the ask. That is the largest
//!   volume which any single price can execute.
//! - **Price.** Every price in `[max(last matched ask, next bid), min(last matched bid, next ask)]` executes it and
//!   leaves nobody outside who was better than the price; the unfilled rest of a part-filled order counts as next.
//!   The price is the one nearest to the reference price.
//! - **Shares.** Orders strictly better than the price fill whole. Orders at the price fill whole on the short side;
//!   on the long side they share pro rata by largest remainders, equal remainders in book order.

use {
    campus_common::units::{OrderWattHours, PricePerKwh},
    trading_interface::{Order, Side},
};

/// What an auction found: zeroes where no bid reaches an ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Equilibrium {
    /// Energy that changes hands.
    pub volume: OrderWattHours,
    /// The lowest price that clears the book.
    pub lowest: PricePerKwh,
    /// The highest price that clears the book.
    pub highest: PricePerKwh,
}

impl Equilibrium {
    /// The clearing price nearest to `reference`; 0 where nothing trades.
    pub fn price(&self, reference: PricePerKwh) -> PricePerKwh {
        if reference < self.lowest {
            self.lowest
        } else if reference > self.highest {
            self.highest
        } else {
            reference
        }
    }
}

/// The largest volume that one price can execute, and the prices that clear the book with it.
///
/// `bids` and `asks` are sorted best first; the quantities of a side sum to at most `u32::MAX`. (Counted in u64 throughout: the machine has no
/// registers of 32 bits, and would clear the upper half after each step.)
pub fn equilibrium(bids: &[Order], asks: &[Order]) -> Equilibrium {
    let mut bids_left = bids.iter();
    let mut asks_left = asks.iter();
    let mut bid = bids_left.next();
    let mut ask = asks_left.next();
    let mut bid_rest = bid.map_or(0, quantity);
    let mut ask_rest = ask.map_or(0, quantity);
    let mut volume = 0u64;
    let mut last_bid = PricePerKwh(0);
    let mut last_ask = PricePerKwh(0);
    while let (Some(buyer), Some(seller)) = (bid, ask) {
        if buyer.price < seller.price {
            break;
        }
        last_bid = buyer.price;
        last_ask = seller.price;
        if bid_rest > ask_rest {
            volume += ask_rest;
            bid_rest -= ask_rest;
            ask = asks_left.next();
            ask_rest = ask.map_or(0, quantity);
        } else {
            volume += bid_rest;
            ask_rest -= bid_rest;
            bid = bids_left.next();
            bid_rest = bid.map_or(0, quantity);
            if ask_rest == 0 {
                ask = asks_left.next();
                ask_rest = ask.map_or(0, quantity);
            }
        }
    }
    if volume == 0 {
        return Equilibrium::default();
    }
    Equilibrium {
        volume: OrderWattHours(volume as u32),
        lowest: bid.map_or(last_ask, |next| next.price.max(last_ask)),
        highest: ask.map_or(last_bid, |next| next.price.min(last_bid)),
    }
}

#[inline(always)]
fn quantity(order: &Order) -> u64 {
    u64::from(order.quantity.0)
}

/// Write into `filled` of one side's orders what each gets of `volume` at `price`.
///
/// Orders come with nothing filled. `volume` must be what an [`Equilibrium`] of the book says and `price` one of its prices: then what is left
/// for the orders at the price is never negative, nor more than they ask for.
pub fn fill(orders: &mut [Order], side: Side, volume: OrderWattHours, price: PricePerKwh) {
    if volume == OrderWattHours::ZERO {
        return;
    }
    let mut left = u64::from(volume.0);
    let mut at_price = 0usize;
    for order in orders.iter_mut() {
        if !side.is_better(order.price, price) {
            break;
        }
        order.filled = order.quantity;
        left = left.wrapping_sub(quantity(order));
        at_price += 1;
    }
    let marginal = &mut orders[at_price..];
    let mut asked = 0u64;
    let mut count = 0usize;
    // Whole, unless it turns out that they must share.
    for order in marginal.iter_mut() {
        if order.price != price {
            break;
        }
        order.filled = order.quantity;
        asked += quantity(order);
        count += 1;
    }
    if left < asked {
        share(&mut marginal[..count], left, asked);
    }
}

/// Share `total` Wh among orders that ask for `asked` Wh together, pro rata by largest remainders.
///
/// `total < asked`, both below 2^32. Every order gets floor(quantity x total / asked); the few Wh that rounding leaves over go, one
/// each, to the largest remainders of those divisions, equal remainders in book order. A product of two u32 fits u64.
fn share(orders: &mut [Order], total: u64, asked: u64) {
    // The remainders rest in `filled` until the threshold among them is known.
    let mut over = total;
    for order in orders.iter_mut() {
        let product = quantity(order) * total;
        let floor = product / asked;
        order.filled = OrderWattHours((product - floor * asked) as u32);
        over -= floor;
    }
    let threshold = threshold(orders, over as u32, asked as u32);
    let mut at_threshold = threshold.at;
    for order in orders.iter_mut() {
        let remainder = order.filled.0;
        let mut filled = quantity(order) * total / asked;
        if remainder >= threshold.remainder {
            if remainder > threshold.remainder {
                filled += 1;
            } else if at_threshold > 0 {
                filled += 1;
                at_threshold -= 1;
            }
        }
        order.filled = OrderWattHours(filled as u32);
    }
}

/// The smallest remainder that still gets a Wh, and how many of the orders with just that remainder get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Threshold {
    remainder: u32,
    at: u32,
}

/// Find the `rank`-th largest of the remainders in `filled`, all below `bound`, by radix selection.
///
/// One pass per byte of `bound`, from the highest: count the candidates by that byte, find the byte of the one looked
/// for, keep the candidates that share it. Four passes at most, however the remainders lie, where selection by
/// pivots or by sorting has inputs that cost the square or the logarithm more.
fn threshold(orders: &[Order], rank: u32, bound: u32) -> Threshold {
    if rank == 0 {
        return Threshold { remainder: u32::MAX, at: 0 };
    }
    let mut rank = rank;
    let mut shift = (31 - bound.leading_zeros().min(31)) & !7;
    // The least remainder that a candidate can still be, shifted right: candidates are the 256 values from it on.
    let mut first = 0u64;
    loop {
        let mut counts = [0u16; 256];
        for order in orders.iter() {
            let byte = (u64::from(order.filled.0) >> shift).wrapping_sub(first);
            if byte < 256 {
                counts[byte as usize] += 1;
            }
        }
        let mut byte = 255usize;
        loop {
            let count = u32::from(counts[byte]);
            if count >= rank {
                break;
            }
            rank -= count;
            byte -= 1;
        }
        first += byte as u64;
        if shift == 0 {
            return Threshold { remainder: first as u32, at: rank };
        }
        first <<= 8;
        shift -= 8;
    }
}

/// Whether one side's fills are what the auction owes: the second opinion that `clear_epoch` asks before it commits.
///
/// Fills sum to `volume`; an order better than the price is filled whole, a worse one not at all, and none beyond its
/// quantity. Says nothing of how the orders at the price share; the tests do, against a reference.
pub fn is_fair(orders: &[Order], side: Side, volume: OrderWattHours, price: PricePerKwh) -> bool {
    let mut sum = 0u64;
    for order in orders {
        let fair = if order.price == price {
            order.filled <= order.quantity
        } else if side.is_better(order.price, price) {
            order.filled == order.quantity
        } else {
            order.filled.0 == 0
        };
        if !fair {
            return false;
        }
        sum += u64::from(order.filled.0);
    }
    sum == u64::from(volume.0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn order(price: u32, quantity: u32) -> Order {
        Order { price: PricePerKwh(price), quantity: OrderWattHours(quantity), filled: OrderWattHours(0), number: 0, member: 0 }
    }

    /// Volume, lowest, highest and clearing price of a book, whose orders are filled.
    fn clear(bids: &mut [Order], asks: &mut [Order], reference: u32) -> [u32; 4] {
        let found = equilibrium(bids, asks);
        let price = found.price(PricePerKwh(reference));
        fill(bids, Side::Bid, found.volume, price);
        fill(asks, Side::Ask, found.volume, price);
        if found.volume > OrderWattHours::ZERO {
            assert!(is_fair(bids, Side::Bid, found.volume, price));
            assert!(is_fair(asks, Side::Ask, found.volume, price));
        }
        [found.volume.0, found.lowest.0, found.highest.0, price.0]
    }

    fn fills(side: &[Order]) -> Vec<u32> {
        side.iter().map(|order| order.filled.0).collect()
    }

    /// The definitions themselves, price by price: what an auction must find, with no cleverness to share a fault with.
    fn brute_force(bids: &[Order], asks: &[Order], reference: u32, top: u32) -> (u32, u32) {
        let demand = |price: u32, strict: bool| -> u64 {
            bids.iter().filter(|o| o.price.0 > price || (!strict && o.price.0 == price)).map(|o| u64::from(o.quantity.0)).sum()
        };
        let supply = |price: u32, strict: bool| -> u64 {
            asks.iter().filter(|o| o.price.0 < price || (!strict && o.price.0 == price)).map(|o| u64::from(o.quantity.0)).sum()
        };
        let executable = |price: u32| demand(price, false).min(supply(price, false));
        let volume = (0..=top).map(executable).max().unwrap_or(0);
        if volume == 0 {
            return (0, 0);
        }
        let price = (0..=top)
            .filter(|&p| executable(p) == volume && demand(p, true) <= volume && supply(p, true) <= volume)
            .min_by_key(|&p| p.abs_diff(reference))
            .expect("some price clears the book");
        (volume as u32, price)
    }

    /// Largest remainders by sorting, as a textbook has them.
    fn textbook_shares(quantities: &[u32], total: u32) -> Vec<u32> {
        let asked: u64 = quantities.iter().map(|&q| u64::from(q)).sum();
        if u64::from(total) >= asked {
            return quantities.to_vec();
        }
        let mut shares: Vec<u32> = quantities.iter().map(|&q| (u64::from(q) * u64::from(total) / asked) as u32).collect();
        let mut order: Vec<usize> = (0..quantities.len()).collect();
        order.sort_by_key(|&k| (core::cmp::Reverse(u64::from(quantities[k]) * u64::from(total) % asked), k));
        let over = total - shares.iter().sum::<u32>();
        for &k in order.iter().take(over as usize) {
            shares[k] += 1;
        }
        shares
    }

    fn expected_fills(side: &[Order], better: Side, volume: u32, price: u32) -> Vec<u32> {
        let whole: u32 = side.iter().filter(|o| better.is_better(o.price, PricePerKwh(price))).map(|o| o.quantity.0).sum();
        let at: Vec<u32> = side.iter().filter(|o| o.price.0 == price).map(|o| o.quantity.0).collect();
        let mut shares = textbook_shares(&at, volume - whole).into_iter();
        side.iter()
            .map(|o| {
                if better.is_better(o.price, PricePerKwh(price)) {
                    o.quantity.0
                } else if o.price.0 == price {
                    shares.next().expect("one share per order at the price")
                } else {
                    0
                }
            })
            .collect()
    }

    /// A small deterministic generator (xorshift), so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 16) % u64::from(bound)) as u32
        }

        fn side(&mut self, orders: u32, prices: u32, quantities: u32, better: Side) -> Vec<Order> {
            let mut side: Vec<Order> = (0..orders).map(|_| order(1 + self.below(prices), 1 + self.below(quantities))).collect();
            side.sort_by(|a, b| match better {
                Side::Bid => b.price.cmp(&a.price),
                Side::Ask => a.price.cmp(&b.price),
            });
            side
        }
    }

    #[test]
    fn hundred_thousand_random_books_match_brute_force() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..100_000u32 {
            let prices = 1 + random.below(14);
            let quantities = 1 + random.below(if round % 3 == 0 { 3 } else { 40 });
            let (nb, na) = (random.below(10), random.below(10));
            let mut bids = random.side(nb, prices, quantities, Side::Bid);
            let mut asks = random.side(na, prices, quantities, Side::Ask);
            let reference = random.below(prices + 3);
            let [volume, _, _, price] = clear(&mut bids, &mut asks, reference);
            assert_eq!((volume, price), brute_force(&bids, &asks, reference, prices + 3), "round {round}");
            if volume > 0 {
                assert_eq!(fills(&bids), expected_fills(&bids, Side::Bid, volume, price));
                assert_eq!(fills(&asks), expected_fills(&asks, Side::Ask, volume, price));
            } else {
                assert!(bids.iter().chain(asks.iter()).all(|o| o.filled.0 == 0));
            }
        }
    }

    #[test]
    fn full_books_at_one_price_share_like_the_textbook() {
        let mut random = Random(7);
        for round in 0..300u32 {
            // The widest quantities whose sum still fits u32, the narrowest, and those whose remainders all tie.
            let quantities = [1, 2, 255, 256, 257, 65_535, 1 << 20, u32::MAX / 512][(round % 8) as usize];
            let mut bids: Vec<Order> = (0..512).map(|_| order(9, 1 + random.below(quantities))).collect();
            let asked: u32 = bids.iter().map(|o| o.quantity.0).sum();
            let total = 1 + random.below(asked);
            let mut asks = [order(9, total)];
            let [volume, _, _, price] = clear(&mut bids, &mut asks, 9);
            assert_eq!((volume, price), (total, 9));
            let wanted: Vec<u32> = bids.iter().map(|o| o.quantity.0).collect();
            assert_eq!(fills(&bids), textbook_shares(&wanted, total), "round {round}");
        }
    }

    #[test]
    fn the_whole_range_of_u32_is_safe() {
        let mut bids = [order(u32::MAX, u32::MAX - 1), order(u32::MAX, 1)];
        let mut asks = [order(u32::MAX, u32::MAX - 2)];
        let [volume, _, _, price] = clear(&mut bids, &mut asks, 0);
        assert_eq!((volume, price), (u32::MAX - 2, u32::MAX));
        assert_eq!(fills(&bids), [u32::MAX - 3, 1]);
        let mut bids = [order(u32::MAX, u32::MAX)];
        let mut asks = [order(1, u32::MAX)];
        assert_eq!(clear(&mut bids, &mut asks, 77), [u32::MAX, 1, u32::MAX, 77]);
    }

    #[test]
    fn the_rest_of_a_part_filled_order_counts_as_next() {
        let mut bids = [order(9, 10), order(7, 10), order(5, 10)];
        let mut asks = [order(4, 10), order(6, 5), order(8, 10)];
        assert_eq!(clear(&mut bids, &mut asks, 100), [15, 7, 7, 7]);
        assert_eq!((fills(&bids), fills(&asks)), (std::vec![10, 5, 0], std::vec![10, 5, 0]));
    }

    #[test]
    fn the_price_is_the_nearest_to_the_reference() {
        let book = || ([order(10, 5)], [order(4, 5)]);
        for (reference, price) in [(0, 4), (4, 4), (7, 7), (10, 10), (11, 10)] {
            let (mut bids, mut asks) = book();
            assert_eq!(clear(&mut bids, &mut asks, reference)[3], price);
        }
    }

    #[test]
    fn one_sided_and_uncrossed_books_trade_nothing() {
        for (mut bids, mut asks) in [
            (std::vec![], std::vec![]),
            (std::vec![order(5, 3)], std::vec![]),
            (std::vec![], std::vec![order(5, 3)]),
            (std::vec![order(4, 3)], std::vec![order(5, 3)]),
        ] {
            assert_eq!(clear(&mut bids, &mut asks, 5), [0, 0, 0, 0]);
        }
    }

    #[test]
    fn a_fill_that_was_tampered_with_is_not_fair() {
        let mut bids = [order(9, 10), order(7, 10), order(5, 10)];
        let fair = |orders: &[Order]| is_fair(orders, Side::Bid, OrderWattHours(15), PricePerKwh(7));
        fill(&mut bids, Side::Bid, OrderWattHours(15), PricePerKwh(7));
        assert!(fair(&bids));
        for (index, filled) in [(0, 9), (1, 11), (1, 4), (2, 1)] {
            let mut tampered = bids;
            tampered[index].filled = OrderWattHours(filled);
            assert!(!fair(&tampered));
        }
        let mut moved = bids;
        moved[1].filled = OrderWattHours(4);
        moved[2].filled = OrderWattHours(1);
        assert!(!fair(&moved));
    }
}
