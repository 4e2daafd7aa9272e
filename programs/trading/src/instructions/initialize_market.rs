//! initialize_market: the market, its seats and its two vaults, once.

use {
    crate::{rent::make, token::require_fee_account},
    anchor_lang::{create_account_signed, prelude::*},
    campus_common::{
        log,
        units::{Epoch, MicroCredits, PricePerKwh, WattHours},
        Signatory, SYSTEM_PROGRAM, TOKEN_PROGRAM, VERSION,
    },
    energy_token_interface::{CREDIT_MINT, ENERGY_MINT},
    governance_interface::{Config, CONFIG_ADDRESS},
    trading_interface::{
        events::MarketInitialized, seats_space, Market, Seats, SeatsMut, TradingError, CREDIT_VAULT, CREDIT_VAULT_BUMP,
        CREDIT_VAULT_SEED, ENERGY_VAULT, ENERGY_VAULT_BUMP, ENERGY_VAULT_SEED, MARKET, MARKET_BUMP, MARKET_SEED,
        MAX_ORDERS_PER_SIDE, SEATS, SEATS_BUMP, SEATS_PER_STEP, SEATS_SEED,
    },
};

/// Bytes of the Market's account.
const MARKET_SPACE: usize = 8 + core::mem::size_of::<Market>();

/// Accounts of initialize_market.
#[derive(Accounts)]
pub struct InitializeMarket {
    /// The operator that governance's Config names; pays the rent.
    #[account(mut, unsafe(dup))]
    pub operator: Signatory,
    /// Governance's Config, at [config].
    #[account(address = CONFIG_ADDRESS @ governance_interface::GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The market to make, at [market].
    #[account(mut, unsafe(dup), address = MARKET @ TradingError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The seats to make, at [seats].
    #[account(mut, unsafe(dup), address = SEATS @ TradingError::WrongSeats)]
    pub seats: UncheckedAccount,
    /// The energy mint.
    #[account(address = ENERGY_MINT @ TradingError::WrongMint)]
    pub energy_mint: UncheckedAccount,
    /// The credit mint.
    #[account(address = CREDIT_MINT @ TradingError::WrongMint)]
    pub credit_mint: UncheckedAccount,
    /// The vault of energy tokens to make, at [energy_vault].
    #[account(mut, unsafe(dup), address = ENERGY_VAULT @ TradingError::WrongVault)]
    pub energy_vault: UncheckedAccount,
    /// The vault of credits to make, at [credit_vault].
    #[account(mut, unsafe(dup), address = CREDIT_VAULT @ TradingError::WrongVault)]
    pub credit_vault: UncheckedAccount,
    /// A credit account: it will receive fees, wheeling and what rounding leaves over.
    pub fee_account: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ TradingError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ TradingError::WrongSystemProgram)]
    pub system_program: UncheckedAccount,
}

impl InitializeMarket {
    /// Make the market; see [`crate::trading::initialize_market`].
    pub(crate) fn execute(ctx: &mut Context<Self>, reference_price: PricePerKwh, orders_per_side: u16) -> Result<()> {
        let accounts = &ctx.accounts;
        let config = Config::load(accounts.config.account())?;
        config.require_operator(accounts.operator.account())?;
        require!(accounts.market.account().data_len() == 0, TradingError::MarketExists);
        require!(orders_per_side > 0 && orders_per_side <= MAX_ORDERS_PER_SIDE, TradingError::CapacityOutOfBounds);
        require_fee_account(accounts.fee_account.account(), &CREDIT_MINT)?;
        let parameters = config.parameters(config.epoch(campus_common::now()?));
        require!(
            reference_price >= parameters.feed_in_price && reference_price <= parameters.retail_price,
            TradingError::ReferencePriceOutOfBounds
        );

        let payer = accounts.operator.account();
        make_vault(
            payer,
            accounts.energy_vault.account(),
            accounts.energy_mint.account(),
            &[ENERGY_VAULT_SEED, &[ENERGY_VAULT_BUMP]],
        )?;
        make_vault(
            payer,
            accounts.credit_vault.account(),
            accounts.credit_mint.account(),
            &[CREDIT_VAULT_SEED, &[CREDIT_VAULT_BUMP]],
        )?;
        let seats: &mut Seats = make(payer, accounts.seats.account(), seats_space(SEATS_PER_STEP), &[SEATS_SEED, &[SEATS_BUMP]])?;
        seats.version = VERSION;
        seats.bump = SEATS_BUMP;
        seats.capacity = SEATS_PER_STEP;
        SeatsMut::load(accounts.seats.account())?.invariant()?;

        let market: &mut Market = make(payer, accounts.market.account(), MARKET_SPACE, &[MARKET_SEED, &[MARKET_BUMP]])?;
        *market = Market {
            version: VERSION,
            bump: MARKET_BUMP,
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
            fee_account: *accounts.fee_account.address(),
            first_epoch: Epoch(0),
            latest_epoch: Epoch(0),
            settled_epoch: Epoch(0),
            reserved0: [0; 4],
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
