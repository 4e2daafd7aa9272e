//! The campus energy market: uniform-price call auctions, one an epoch.
#![cfg_attr(target_os = "solana", no_std)]
