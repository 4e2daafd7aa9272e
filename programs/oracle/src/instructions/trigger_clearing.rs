//! Have the market clear an epoch that has ended, or go on paying its orders.

use {
    anchor_lang::{
        pinocchio::cpi::{Seed, Signer as CpiSigner},
        prelude::*,
    },
    campus_common::{log, now, units::Epoch, Checked, Foreign},
    governance_interface::{Config, Pause},
    oracle_interface::{events::ClearingTriggered, OracleError, ORACLE_ADDRESS, ORACLE_BUMP, ORACLE_SEED},
    trading_interface::{cpi::ClearEpoch, MARKET, SEATS},
};

/// Accounts of trigger_clearing.
#[derive(Accounts)]
pub struct TriggerClearing {
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The oracle's own address, which signs for the call.
    #[account(address = ORACLE_ADDRESS @ OracleError::WrongOracle)]
    pub oracle: Foreign,
    /// The Market.
    #[account(unsafe(dup), address = MARKET @ OracleError::WrongAddress)]
    pub market: Foreign,
    /// The market's seats.
    #[account(unsafe(dup), address = SEATS @ OracleError::WrongAddress)]
    pub seats: Foreign,
    /// The epoch's book, at [book, epoch mod 16 as u8] of trading.
    #[account(unsafe(dup))]
    pub book: Foreign,
    /// The trading program.
    #[account(address = trading_interface::ID @ OracleError::WrongProgram)]
    pub trading_program: Foreign,
}

impl TriggerClearing {
    pub(crate) fn execute(&mut self, epoch: u32, limit: u16) -> Result<()> {
        let config = &self.config;
        config.require_running(Pause::CLEARING)?;
        let epoch = Epoch(epoch);
        if now()? < epoch.end(config.epoch_seconds) {
            return Err(OracleError::EpochNotOver.into());
        }
        let bump = [ORACLE_BUMP];
        let seeds = [Seed::from(ORACLE_SEED), Seed::from(&bump)];
        ClearEpoch {
            oracle: self.oracle.account(),
            config: self.config.account(),
            market: self.market.account(),
            seats: self.seats.account(),
            book: self.book.account(),
        }
        .invoke_signed(epoch, limit, CpiSigner::from(&seeds));
        log(&ClearingTriggered { epoch });
        Ok(())
    }
}
