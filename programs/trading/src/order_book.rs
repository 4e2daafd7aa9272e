//! The order book's mechanics: where an order goes, which one gives way, which one leaves.
//!
//! Sides are sorted arrays. A place is found by bisection, and room is made by one memory move, so that placing costs nearly
//! the same at the best and at the worst place. What a member has in the book is known without a search from counts by the low
//! byte of its index: exact while fewer than 256 members trade, an upper bound beyond, and a search only where that bound does
//! not settle the question.

use {
    anchor_lang::prelude::*,
    campus_common::units::{OrderWattHours, PricePerKwh},
    trading_interface::{EpochBook, Order, Side, TradingError, MEMBER_BUCKETS, ORDERS_PER_SIDE},
};

/// Where an order went, and who gave way.
pub struct Insertion {
    /// Place on its side, from 0.
    pub place: usize,
    /// The order that left.
    pub evicted: Option<Order>,
}

/// The bucket that counts a member's orders.
#[inline(always)]
fn bucket(member: u32) -> usize {
    member as usize % MEMBER_BUCKETS
}

/// Refuse an order whose price or quantity is out of the book's bounds.
#[inline(always)]
pub fn require_within_limits(book: &EpochBook, price: PricePerKwh, quantity: OrderWattHours) -> Result<()> {
    require!(price >= book.feed_in_price, TradingError::PriceBelowFeedIn);
    require!(price <= book.retail_price, TradingError::PriceAboveRetail);
    require!(quantity >= book.min_order, TradingError::OrderTooSmall);
    require!(quantity <= book.max_order, TradingError::OrderTooLarge);
    Ok(())
}

/// Refuse where the member has as many orders as it may, on both sides together.
#[inline(always)]
pub fn require_below_cap(book: &EpochBook, member: u32) -> Result<()> {
    let bucket = bucket(member);
    let at_most = book.bid_members[bucket] + book.ask_members[bucket];
    if at_most >= book.max_orders_per_member {
        let exactly = count(book.side(Side::Bid), member) + count(book.side(Side::Ask), member);
        require!(exactly < u32::from(book.max_orders_per_member), TradingError::TooManyOrders);
    }
    Ok(())
}

/// How many of the orders are the member's.
#[inline(never)]
fn count(orders: &[Order], member: u32) -> u32 {
    orders.iter().filter(|order| order.member == member).count() as u32
}

/// Refuse where an order at `price` would trade with one of the member's own on the other side.
#[inline(always)]
pub fn require_not_crossing_own(book: &EpochBook, side: Side, price: PricePerKwh, member: u32) -> Result<()> {
    let opposite = side.opposite();
    if members(book, opposite)[bucket(member)] > 0 {
        require!(!crosses_own(book.side(opposite), side, price, member), TradingError::CrossesOwnOrder);
    }
    Ok(())
}

/// Whether an order at `price` on `side` meets one of the member's among the other side's `orders`: those that cross come first.
#[inline(never)]
fn crosses_own(orders: &[Order], side: Side, price: PricePerKwh, member: u32) -> bool {
    orders.iter().take_while(|order| side.crosses(price, order.price)).any(|order| order.member == member)
}

#[inline(always)]
fn members(book: &EpochBook, side: Side) -> &[u16; MEMBER_BUCKETS] {
    match side {
        Side::Bid => &book.bid_members,
        Side::Ask => &book.ask_members,
    }
}

/// A side's parts, for changing them.
struct Parts<'a> {
    orders: &'a mut [Order; ORDERS_PER_SIDE],
    count: &'a mut u16,
    quantity: &'a mut OrderWattHours,
    members: &'a mut [u16; MEMBER_BUCKETS],
}

#[inline(always)]
fn parts(book: &mut EpochBook, side: Side) -> Parts<'_> {
    match side {
        Side::Bid => Parts {
            orders: &mut book.bids,
            count: &mut book.bid_count,
            quantity: &mut book.bid_quantity,
            members: &mut book.bid_members,
        },
        Side::Ask => Parts {
            orders: &mut book.asks,
            count: &mut book.ask_count,
            quantity: &mut book.ask_quantity,
            members: &mut book.ask_members,
        },
    }
}

/// Put an order in its place: behind all that are at least as good. On a full side the worst order gives way, if it is worse.
pub fn insert(book: &mut EpochBook, side: Side, order: Order) -> Result<Insertion> {
    let parts = parts(book, side);
    let mut len = usize::from(*parts.count);
    require!(len <= ORDERS_PER_SIDE, TradingError::BookInvariant);
    let place = parts.orders[..len].partition_point(|resting| !side.is_better(order.price, resting.price));
    let mut evicted = None;
    let mut others = *parts.quantity;
    if len == ORDERS_PER_SIDE {
        require!(place < len, TradingError::BookFull);
        len -= 1;
        let worst = parts.orders[len];
        others = others.checked_sub(worst.quantity).ok_or(TradingError::BookInvariant)?;
        parts.members[bucket(worst.member)] -= 1;
        evicted = Some(worst);
    }
    *parts.quantity = others.checked_add(order.quantity).ok_or(TradingError::SideTooLarge)?;
    parts.members[bucket(order.member)] += 1;
    parts.orders.copy_within(place..len, place + 1);
    parts.orders[place] = order;
    *parts.count = (len + 1) as u16;
    Ok(Insertion { place, evicted })
}

/// Take out the member's latest order with that price and quantity; says which place it had.
pub fn remove(book: &mut EpochBook, side: Side, wanted: Order) -> Result<usize> {
    let parts = parts(book, side);
    let len = usize::from(*parts.count).min(ORDERS_PER_SIDE);
    let orders = &parts.orders[..len];
    let first = orders.partition_point(|resting| side.is_better(resting.price, wanted.price));
    let mut found = None;
    for (place, resting) in orders.iter().enumerate().skip(first) {
        if resting.price != wanted.price {
            break;
        }
        if resting.member == wanted.member && resting.quantity == wanted.quantity {
            found = Some(place);
        }
    }
    let place = found.ok_or(TradingError::NoSuchOrder)?;
    *parts.quantity = parts.quantity.checked_sub(wanted.quantity).ok_or(TradingError::BookInvariant)?;
    parts.members[bucket(wanted.member)] -= 1;
    parts.orders.copy_within(place + 1..len, place);
    // What lies beyond the count is always zero, so that equal books have equal bytes.
    parts.orders[len - 1] = anchor_lang::bytemuck::Zeroable::zeroed();
    *parts.count = (len - 1) as u16;
    Ok(place)
}
