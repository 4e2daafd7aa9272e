//! Trading: what other programs need of it — the Market, the EpochBook, its errors, and the call that clears a book.
//!
//! The instructions and their reasons are in the `trading` crate.
#![cfg_attr(target_os = "solana", no_std)]
extern crate alloc;

mod addresses;
mod book;
pub mod cpi;
mod error;
pub mod events;
mod market;

pub use {
    addresses::{
        BOOK_SEED, CREDIT_VAULT, CREDIT_VAULT_BUMP, CREDIT_VAULT_SEED, ENERGY_VAULT, ENERGY_VAULT_BUMP, ENERGY_VAULT_SEED,
        MARKET, MARKET_BUMP, MARKET_SEED,
    },
    book::{BookStatus, EpochBook, Order, Side, BOOK_SPACE, MEMBER_BUCKETS, OPENING_SPACE, ORDERS_PER_SIDE, REFUND_AFTER_EPOCHS},
    error::TradingError,
    market::Market,
};

anchor_lang::declare_id!("CampusTrading1111111111111111111111111111111");

campus_common::idl_accounts!(Market, EpochBook);
