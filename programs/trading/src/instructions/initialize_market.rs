//! initialize_market: the market, its seats and its two vaults, once.

use {
    crate::token::require_fee_account,
    anchor_lang::{create_account_signed, prelude::*},
    campus_common::{
        log, now,
        units::{Epoch, MicroCredits, PricePerKwh, WattHours},
        CampusAccount, Checked, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, TOKEN_PROGRAM, VERSION,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{Config, Operator},
    trading_interface::{
        events::MarketInitialized, seats_space, Market, Seats, TradingError, CREDIT_VAULT, CREDIT_VAULT_BUMP, CREDIT_VAULT_SEED,
        ENERGY_VAULT, ENERGY_VAULT_BUMP, ENERGY_VAULT_SEED, MARKET, MARKET_SEED, MAX_ORDERS_PER_SIDE, SEATS_PER_STEP, SEATS_SEED,
    },
};

/// Accounts of initialize_market.
#[derive(Accounts)]
pub struct InitializeMarket {
    /// The operator that governance's Config names; pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config, at [config].
    pub config: Checked<Config>,
    /// The market to make, at [market].
    #[account(unsafe(dup))]
    pub market: Fresh<Market>,
    /// The seats to make, at [seats].
    #[account(unsafe(dup))]
    pub seats: Fresh<Seats>,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ TradingError::WrongMint)]
    pub energy_mint: Foreign,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ TradingError::WrongMint)]
    pub credit_mint: Foreign,
    /// The vault of energy tokens to make, at [energy_vault].
    #[account(unsafe(dup), address = ENERGY_VAULT @ TradingError::WrongVault)]
    pub energy_vault: Foreign,
    /// The vault of credits to make, at [credit_vault].
    #[account(unsafe(dup), address = CREDIT_VAULT @ TradingError::WrongVault)]
    pub credit_vault: Foreign,
    /// A credit account: it will receive fees, wheeling and what rounding leaves over.
    pub fee_account: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: Foreign,
}

impl InitializeMarket {
    /// Make the market; see [`crate::trading::initialize_market`].
    pub(crate) fn execute(&mut self, reference_price: PricePerKwh, orders_per_side: u16) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        if self.market.data_len() != 0 {
            return Err(TradingError::MarketExists.into());
        }
        if orders_per_side == 0 || orders_per_side > MAX_ORDERS_PER_SIDE {
            return Err(TradingError::CapacityOutOfBounds.into());
        }
        require_fee_account(self.fee_account.account(), &CREDIT_MINT)?;
        let parameters = config.parameters(config.epoch(now()?));
        if reference_price < parameters.feed_in_price || reference_price > parameters.retail_price {
            return Err(TradingError::ReferencePriceOutOfBounds.into());
        }

        let payer = self.operator.account();
        make_vault(payer, self.energy_vault.account(), self.energy_mint.account(), &[ENERGY_VAULT_SEED, &[ENERGY_VAULT_BUMP]])?;
        make_vault(payer, self.credit_vault.account(), self.credit_mint.account(), &[CREDIT_VAULT_SEED, &[CREDIT_VAULT_BUMP]])?;
        let seats_of = (TradingError::WrongSeats, TradingError::MarketExists);
        let space = seats_space(SEATS_PER_STEP);
        let (mut seats, bump) = self.seats.make_array(payer, space, &[SEATS_SEED], seats_of)?;
        seats.version = VERSION;
        seats.bump = bump;
        seats.capacity = SEATS_PER_STEP;
        seats.invariant()?;

        let market_of = (TradingError::WrongMarket, TradingError::MarketExists);
        let (mut market, bump) = self.market.make(payer, &[MARKET_SEED], market_of)?;
        *market = Market {
            version: VERSION,
            bump,
            orders_per_side,
            reference_price,
            reference_epoch: Epoch(0),
            epochs_cleared: 0,
            traded: WattHours::ZERO,
            turnover: MicroCredits::ZERO,
            energy_mint: ENERGY_MINT,
            credit_mint: CREDIT_MINT,
            energy_vault: ENERGY_VAULT,
            credit_vault: CREDIT_VAULT,
            fee_account: *self.fee_account.address(),
            first_epoch: Epoch(0),
            latest_epoch: Epoch(0),
            settled_epoch: Epoch(0),
            padding: [0; 4],
            reserved: [0; 48],
        };
        log(&MarketInitialized { fee_account: market.fee_account, reference_price, orders_per_side: orders_per_side.into() });
        market.invariant()
    }
}

/// A token account at an address of this program, owned by the market.
#[inline(never)]
fn make_vault(payer: &AccountView, vault: &AccountView, mint: &AccountView, seeds: &[&[u8]; 2]) -> Result<()> {
    create_account_signed(payer, vault, pinocchio_token::state::Account::LEN, &pinocchio_token::ID, seeds)?;
    pinocchio_token::instructions::InitializeAccount3 { account: vault, mint, owner: &MARKET }.invoke()
}
