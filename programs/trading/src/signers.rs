//! In what capacity somebody signs for the market, besides those that other programs name.

use {anchor_lang::prelude::*, campus_common::Capacity, trading_interface::TradingError};

/// Pays the rent of an account that grows.
pub struct Payer;

impl Capacity for Payer {
    #[inline(always)]
    fn missing() -> Error {
        TradingError::PayerMustSign.into()
    }
}

/// The oracle program, with its own address.
pub struct OracleProgram;

impl Capacity for OracleProgram {
    #[inline(always)]
    fn missing() -> Error {
        TradingError::OracleMustSign.into()
    }
}

/// The energy token program, with its mint authority.
pub struct EnergyTokenProgram;

impl Capacity for EnergyTokenProgram {
    #[inline(always)]
    fn missing() -> Error {
        TradingError::EnergyTokenMustSign.into()
    }
}
