//! A side's orders: sorted, in place, and found by binary search: by price and, among equal prices, by number.
//!
//! How many orders a member has in the book, and whether one of them might be crossed, its seat knows; so that nothing here searches a
//! side but [`crosses_own`], and that only where the seat cannot rule it out.

use {
    anchor_lang::prelude::*,
    campus_common::units::{OrderWattHours, PricePerKwh},
    trading_interface::{BookMut, EpochBook, Order, Side, TradingError},
};

/// Refuse an order whose price or quantity is out of the book's bounds.
#[inline(always)]
pub fn require_within_limits(head: &EpochBook, price: PricePerKwh, quantity: OrderWattHours) -> Result<()> {
    if price < head.feed_in_price {
        return Err(TradingError::PriceBelowFeedIn.into());
    }
    if price > head.retail_price {
        return Err(TradingError::PriceAboveRetail.into());
    }
    if quantity < head.min_order {
        return Err(TradingError::OrderTooSmall.into());
    }
    if quantity > head.max_order {
        return Err(TradingError::OrderTooLarge.into());
    }
    Ok(())
}

/// Whether an order at `price` on `side` would trade with one of the member's on the other side: those that cross come first there.
#[inline(never)]
pub fn crosses_own(book: &BookMut, side: Side, price: PricePerKwh, member: u32) -> bool {
    let opposite = match side {
        Side::Bid => book.asks(),
        Side::Ask => book.bids(),
    };
    let crossing = opposite.partition_point(|order| side.crosses(price, order.price));
    has_order_of(&opposite[..crossing], u64::from(member))
}

/// Whether one of the orders is that member's. This is the one search whose length others decide: so eight at a time, and with the member
/// in u64, which is what registers are, where it comes in; else it is widened for every order.
#[inline(never)]
fn has_order_of(orders: &[Order], member: u64) -> bool {
    let is_own = |order: &Order| u64::from(order.member) == member;
    let (eights, rest) = orders.as_chunks::<8>();
    eights.iter().any(|[a, b, c, d, e, f, g, h]| {
        is_own(a) || is_own(b) || is_own(c) || is_own(d) || is_own(e) || is_own(f) || is_own(g) || is_own(h)
    }) || rest.iter().any(is_own)
}

/// A side's parts, for changing them.
struct Parts<'a> {
    orders: &'a mut [Order],
    count: &'a mut u16,
    quantity: &'a mut OrderWattHours,
}

#[inline(always)]
fn parts<'a>(book: &'a mut BookMut, side: Side) -> Parts<'a> {
    match side {
        Side::Bid => Parts { orders: book.bids, count: &mut book.head.bid_count, quantity: &mut book.head.bid_quantity },
        Side::Ask => Parts { orders: book.asks, count: &mut book.head.ask_count, quantity: &mut book.head.ask_quantity },
    }
}

/// Put an order in its place: behind all that are at least as good. On a full side the worst order gives way, if it is worse; it is
/// returned. A full side of the largest orders fits u32, so that the sum never refuses.
#[inline(always)]
pub fn insert(book: &mut BookMut, side: Side, order: Order) -> Result<Option<Order>> {
    let Parts { orders, count, quantity } = parts(book, side);
    let len = usize::from(*count);
    if len > orders.len() {
        return Err(TradingError::BookInvariant.into());
    }
    let rank = side.rank(order.price);
    let place = orders[..len].partition_point(|resting| side.rank(resting.price) <= rank);
    let full = len == orders.len();
    let (kept, evicted) = if full {
        if place >= len {
            return Err(TradingError::BookFull.into());
        }
        (len - 1, Some(orders[len - 1]))
    } else {
        (len, None)
    };
    let others = match &evicted {
        Some(worst) => quantity.checked_sub(worst.quantity).ok_or(TradingError::BookInvariant)?,
        None => *quantity,
    };
    *quantity = others.checked_add(order.quantity).ok_or(TradingError::BookInvariant)?;
    *count = (kept + 1) as u16;
    orders.copy_within(place..kept, place + 1);
    orders[place] = order;
    Ok(evicted)
}

/// Take out the order with that price and number; it must be the member's.
#[inline(always)]
pub fn remove(book: &mut BookMut, side: Side, price: PricePerKwh, number: u32, member: u32) -> Result<Order> {
    let Parts { orders, count, quantity } = parts(book, side);
    let len = usize::from(*count);
    if len > orders.len() {
        return Err(TradingError::BookInvariant.into());
    }
    let orders = &mut orders[..len];
    let key = |price: PricePerKwh, number: u32| (u64::from(side.rank(price)) << 32) | u64::from(number);
    let wanted = key(price, number);
    let place = orders.partition_point(|resting| key(resting.price, resting.number) < wanted);
    let order = *orders.get(place).ok_or(TradingError::NoSuchOrder)?;
    if order.price != price || order.number != number {
        return Err(TradingError::NoSuchOrder.into());
    }
    if order.member != member {
        return Err(TradingError::OrderOfAnotherMember.into());
    }
    *quantity = quantity.checked_sub(order.quantity).ok_or(TradingError::BookInvariant)?;
    *count = (len - 1) as u16;
    orders.copy_within(place + 1..len, place);
    Ok(order)
}
