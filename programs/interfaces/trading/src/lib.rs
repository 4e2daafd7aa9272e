//! Trading: what other programs need of it — the Market, the Seats, the EpochBook, its errors, and the calls that they may make.
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
mod seats;

pub use {
    addresses::{
        BOOK_SEED, CREDIT_VAULT, CREDIT_VAULT_BUMP, CREDIT_VAULT_SEED, ENERGY_VAULT, ENERGY_VAULT_BUMP, ENERGY_VAULT_SEED,
        MARKET, MARKET_BUMP, MARKET_SEED, SEATS, SEATS_BUMP, SEATS_SEED,
    },
    book::{
        book_space, Book, BookMut, BookStatus, EpochBook, Order, Side, StoredBookStatus, BOOKS, BOOK_HEAD, MAX_ORDERS_PER_SIDE,
        REFUND_AFTER_EPOCHS,
    },
    error::TradingError,
    market::Market,
    seats::{seats_space, Asset, Seat, Seats, SeatsMut, StoredAsset, SEATS_PER_STEP},
};

anchor_lang::declare_id!("CampusTrading1111111111111111111111111111111");

campus_common::idl_accounts!(Market, Seats, Seat, EpochBook, Order);
