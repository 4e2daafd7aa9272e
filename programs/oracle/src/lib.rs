#![cfg_attr(target_os = "solana", no_std)]
