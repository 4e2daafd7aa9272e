//! Retire energy tokens: against one's withdrawals, or as feed-in for credits.

use {
    crate::signer::{burn_delegated, mint},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        create, is_account, load, load_mut, log, now,
        units::{BillingPeriod, OrderWattHours, UnixTime, WattHours},
        Signatory, SYSTEM_PROGRAM, TOKEN_PROGRAM, VERSION,
    },
    energy_token_interface::{
        events::EnergyRetired, EnergyTokenError, Retirement, CREDIT_MINT, ENERGY_MINT, MINT_AUTHORITY, RETIRED_SEED,
        RETIREMENT_GRACE_EPOCHS,
    },
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::EnergyAccount,
    pinocchio_token::instructions::Burn,
    registry_interface::User,
    trading_interface::{cpi::BurnDelegated, MARKET},
};

/// Why energy is retired.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Consumption,
    FeedIn,
}

impl Reason {
    /// 0 consumption, 1 feed-in.
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Consumption),
            1 => Some(Self::FeedIn),
            _ => None,
        }
    }
}

/// What to retire.
pub struct Request {
    /// 0 consumption, 1 feed-in.
    pub reason: u8,
    /// The billing period that it counts in.
    pub period: BillingPeriod,
    /// How much, Wh.
    pub amount: u64,
}

/// Accounts of retire_energy.
#[derive(Accounts)]
pub struct RetireEnergy {
    /// Pays the rent of a member's first Retirement.
    #[account(mut)]
    pub payer: Signatory,
    /// The member's wallet, or its delegate.
    pub member: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The member, as registered.
    pub user: UncheckedAccount,
    /// The member's Retirement at [retired, wallet], made where it does not exist.
    #[account(mut)]
    pub retirement: UncheckedAccount,
    /// The member's EnergyAccount of the oracle.
    pub energy_account: UncheckedAccount,
    /// The energy mint.
    #[account(mut, address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: UncheckedAccount,
    /// The member's energy token account.
    #[account(mut)]
    pub energy_token_account: UncheckedAccount,
    /// The credit mint.
    #[account(mut, address = CREDIT_MINT @ EnergyTokenError::WrongCreditMint)]
    pub credit_mint: UncheckedAccount,
    /// The member's credit token account.
    #[account(mut)]
    pub credit_token_account: UncheckedAccount,
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: UncheckedAccount,
    /// The market, at [market] of the trading program: has approval to burn for a delegate.
    #[account(address = MARKET @ EnergyTokenError::WrongMarket)]
    pub market: UncheckedAccount,
    /// The trading program.
    #[account(address = trading_interface::ID @ EnergyTokenError::WrongTradingProgram)]
    pub trading_program: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ EnergyTokenError::WrongSystemProgram)]
    pub system_program: UncheckedAccount,
}

impl RetireEnergy {
    pub(crate) fn execute(&mut self, request: Request) -> Result<()> {
        let config = Config::load(self.config.account())?;
        config.require_running(Pause::RETIREMENT)?;
        let Some(reason) = Reason::from_code(request.reason) else {
            return Err(EnergyTokenError::UnknownReason.into());
        };
        if request.amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        if request.amount > u32::MAX as u64 {
            return Err(EnergyTokenError::TooMuchAtOnce.into());
        }
        let amount = WattHours(request.amount);
        let now = now()?;
        let user = User::load(self.user.account())?;
        user.require_active()?;
        let by_wallet = user.require_wallet_or_delegate(self.member.account(), now)?;
        if !address_eq(self.energy_token_account.account().address(), &user.energy_token_account) {
            return Err(EnergyTokenError::WrongEnergyAccount.into());
        }
        if !address_eq(self.credit_token_account.account().address(), &user.credit_token_account) {
            return Err(EnergyTokenError::WrongCreditAccount.into());
        }
        require_period(config, now, request.period, reason)?;

        let retirement = self.retirement_of(user, config)?;
        let credits = match reason {
            Reason::Consumption => {
                let account: &EnergyAccount = load(self.energy_account.account(), EnergyTokenError::WrongOracleAccount)?;
                if !address_eq(&account.wallet, &user.wallet) {
                    return Err(EnergyTokenError::WrongOracleAccount.into());
                }
                let retired = if request.period == retirement.period {
                    &mut retirement.consumption_open
                } else {
                    &mut retirement.consumption_previous
                };
                *retired = retired.checked_add(amount).ok_or(EnergyTokenError::RetirementInvariant)?;
                if *retired > account.withdrawals(request.period) {
                    return Err(EnergyTokenError::ExceedsWithdrawals.into());
                }
                retirement.consumption_total =
                    retirement.consumption_total.checked_add(amount).ok_or(EnergyTokenError::RetirementInvariant)?;
                0
            }
            Reason::FeedIn => {
                let price = config.parameters(config.epoch(now)).feed_in_price;
                let credits = price.cost_floor(OrderWattHours(request.amount as u32));
                if credits.0 == 0 {
                    return Err(EnergyTokenError::TooSmall.into());
                }
                let invalid = EnergyTokenError::RetirementInvariant;
                retirement.feed_in_open = retirement.feed_in_open.checked_add(amount).ok_or(invalid)?;
                retirement.feed_in_total = retirement.feed_in_total.checked_add(amount).ok_or(invalid)?;
                retirement.feed_in_credits = retirement.feed_in_credits.checked_add(credits).ok_or(invalid)?;
                credits.0
            }
        };
        retirement.invariant()?;
        let (energy_mint, source) = (self.energy_mint.account(), self.energy_token_account.account());
        if by_wallet {
            Burn::new(source, energy_mint, self.member.account(), amount.0).invoke()?;
        } else {
            let accounts = BurnDelegated {
                mint_authority: self.mint_authority.account(),
                market: self.market.account(),
                user: self.user.account(),
                energy_mint,
                source,
                token_program: self.token_program.account(),
            };
            burn_delegated(&accounts, amount);
        }
        if credits > 0 {
            mint(self.credit_mint.account(), self.credit_token_account.account(), self.mint_authority.account(), credits)?;
        }
        log(&EnergyRetired {
            wallet: user.wallet,
            amount,
            credits: campus_common::units::MicroCredits(credits),
            period: request.period,
            reason: request.reason,
            padding: [0; 3],
        });
        Ok(())
    }

    /// The member's Retirement, made where it does not exist, moved on to the open billing period.
    fn retirement_of<'a>(&self, user: &User, config: &Config) -> Result<&'a mut Retirement> {
        let view = self.retirement.account();
        let retirement: &mut Retirement = if is_account::<Retirement>(view) {
            load_mut(view, EnergyTokenError::WrongRetirement)?
        } else {
            if !self.payer.account().is_signer() {
                return Err(EnergyTokenError::PayerMustSign.into());
            }
            let (retirement, bump) = create::<Retirement>(
                self.payer.account(),
                view,
                &[RETIRED_SEED, user.wallet.as_ref()],
                (EnergyTokenError::WrongRetirement, EnergyTokenError::WrongRetirement),
            )?;
            retirement.version = VERSION;
            retirement.bump = bump;
            retirement.wallet = user.wallet;
            retirement.period = config.billing_period;
            retirement
        };
        if !address_eq(&retirement.wallet, &user.wallet) {
            return Err(EnergyTokenError::WrongRetirement.into());
        }
        if retirement.period != config.billing_period {
            let follows = retirement.period.0.wrapping_add(1) == config.billing_period.0;
            let kept = |open: WattHours| if follows { open } else { WattHours::ZERO };
            retirement.consumption_previous = kept(retirement.consumption_open);
            retirement.feed_in_previous = kept(retirement.feed_in_open);
            retirement.consumption_open = WattHours::ZERO;
            retirement.feed_in_open = WattHours::ZERO;
            retirement.period = config.billing_period;
        }
        Ok(retirement)
    }
}

/// Refuse a period that is closed to retirement: consumption counts in the open one or, for 8 epochs after its end, in the one
/// before; feed-in counts when it happens.
fn require_period(config: &Config, now: UnixTime, period: BillingPeriod, reason: Reason) -> Result<()> {
    if period == config.billing_period {
        return Ok(());
    }
    let previous = period.0.wrapping_add(1) == config.billing_period.0 && config.billing_period.0 > 0;
    let grace_end = config.billing_period_start.0.saturating_add(RETIREMENT_GRACE_EPOCHS);
    if reason == Reason::Consumption && previous && config.epoch(now).0 < grace_end {
        return Ok(());
    }
    Err(EnergyTokenError::PeriodClosed.into())
}
