//! Retire energy: against one's withdrawals, or as feed-in for credits; out of a token account, or out of one's seat in the market.

use {
    crate::signer::{as_mint_authority, Minting, Payer},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        borrow_mut, is_account, log, make, now,
        units::{BillingPeriod, MicroCredits, OrderWattHours, UnixTime, WattHours},
        CampusAccount, Checked, Foreign, Signatory, Writing, SYSTEM_PROGRAM, TOKEN_PROGRAM, VERSION,
    },
    energy_token_interface::{
        events::EnergyRetired, EnergyTokenError, Place, Reason, Retirement, CREDIT_MINT, ENERGY_MINT, MINT_AUTHORITY,
        RETIRED_SEED,
    },
    governance_interface::{Config, Pause, RETIREMENT_GRACE_EPOCHS},
    oracle_interface::EnergyAccount,
    pinocchio_token::instructions::Burn,
    registry_interface::{User, WalletOrDelegate},
    trading_interface::{cpi::BurnFromSeat, Asset, CREDIT_VAULT, ENERGY_VAULT, MARKET, SEATS},
};

/// What to retire.
pub struct Request {
    /// 0 consumption, 1 feed-in.
    pub reason: u8,
    /// The billing period that it counts in.
    pub period: BillingPeriod,
    /// How much, Wh.
    pub amount: u64,
    /// 0 out of the token account, 1 out of the seat.
    pub source: u8,
}

/// Accounts of retire_energy.
#[derive(Accounts)]
pub struct RetireEnergy {
    /// Pays the rent of a member's first Retirement; may be the member itself.
    #[account(unsafe(dup))]
    pub payer: Signatory<Payer>,
    /// The member's wallet, or its delegate.
    pub member: Signatory<WalletOrDelegate>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The member's Retirement at [retired, member], made where it does not exist.
    #[account(unsafe(dup))]
    pub retirement: Foreign,
    /// The member's EnergyAccount of the oracle.
    pub energy_account: Checked<EnergyAccount>,
    /// The energy mint.
    #[account(unsafe(dup), address = ENERGY_MINT @ EnergyTokenError::WrongEnergyMint)]
    pub energy_mint: Foreign,
    /// The member's energy token account.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The credit mint.
    #[account(unsafe(dup), address = CREDIT_MINT @ EnergyTokenError::WrongCreditMint)]
    pub credit_mint: Foreign,
    /// The member's credit token account.
    #[account(unsafe(dup))]
    pub credit_token_account: Foreign,
    /// The mint authority.
    #[account(address = MINT_AUTHORITY @ EnergyTokenError::WrongMintAuthority)]
    pub mint_authority: Foreign,
    /// The market, owner of the vaults.
    #[account(address = MARKET @ EnergyTokenError::WrongMarket)]
    pub market: Foreign,
    /// The market's seats.
    #[account(unsafe(dup), address = SEATS @ EnergyTokenError::WrongSeats)]
    pub seats: Foreign,
    /// The market's vault of energy: what is retired out of a seat is burnt there.
    #[account(unsafe(dup), address = ENERGY_VAULT @ EnergyTokenError::WrongVault)]
    pub energy_vault: Foreign,
    /// The market's vault of credits: what feed-in pays into a seat is minted there.
    #[account(unsafe(dup), address = CREDIT_VAULT @ EnergyTokenError::WrongVault)]
    pub credit_vault: Foreign,
    /// The trading program.
    #[account(address = trading_interface::ID @ EnergyTokenError::WrongTradingProgram)]
    pub trading_program: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ EnergyTokenError::WrongTokenProgram)]
    pub token_program: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ EnergyTokenError::WrongSystemProgram)]
    pub system_program: Foreign,
}

impl RetireEnergy {
    pub(crate) fn execute(&mut self, request: Request) -> Result<()> {
        let config = &self.config;
        config.require_running(Pause::RETIREMENT)?;
        let Some(reason) = Reason::from_code(request.reason) else {
            return Err(EnergyTokenError::UnknownReason.into());
        };
        let Some(place) = Place::from_code(request.source) else {
            return Err(EnergyTokenError::UnknownSource.into());
        };
        if request.amount == 0 {
            return Err(EnergyTokenError::ZeroAmount.into());
        }
        if request.amount > u32::MAX as u64 {
            return Err(EnergyTokenError::TooMuchAtOnce.into());
        }
        let amount = WattHours(request.amount);
        let now = now()?;
        let user = &self.user;
        user.require_active()?;
        let by_wallet = user.require_wallet_or_delegate(&self.member, now)?;
        if place == Place::TokenAccount && !by_wallet {
            return Err(EnergyTokenError::DelegateRetiresFromSeat.into());
        }
        if !address_eq(self.energy_token_account.account().address(), &user.energy_token_account) {
            return Err(EnergyTokenError::WrongEnergyAccount.into());
        }
        if !address_eq(self.credit_token_account.account().address(), &user.credit_token_account) {
            return Err(EnergyTokenError::WrongCreditAccount.into());
        }
        require_period(config, now, request.period, reason)?;

        let mut retirement = self.retirement_of(user, config)?;
        let account = &self.energy_account;
        if !address_eq(&account.wallet, &user.member) {
            return Err(EnergyTokenError::WrongOracleAccount.into());
        }
        let credits = match reason {
            Reason::Consumption => {
                count_consumption(&mut retirement, account, request.period, amount)?;
                MicroCredits::ZERO
            }
            Reason::FeedIn => {
                let price = config.parameters(config.epoch(now)).feed_in_price;
                let credits = price.cost_floor(OrderWattHours(request.amount as u32));
                count_feed_in(&mut retirement, account, amount, credits)?;
                credits
            }
        };
        retirement.invariant()?;
        self.burn(user, place, amount)?;
        if credits > MicroCredits::ZERO {
            let minting = Minting {
                asset: Asset::Credit,
                mint: self.credit_mint.account(),
                token_account: self.credit_token_account.account(),
                authority: self.mint_authority.account(),
                vault: self.credit_vault.account(),
                seats: self.seats.account(),
            };
            // Paid where the energy came from: what a delegate feeds in is not out of its reach for the market.
            match place {
                Place::TokenAccount => {
                    minting.mint(user, credits.0)?;
                }
                Place::Seat => minting.mint_to_seat(user, credits.0)?,
            }
        }
        log(&EnergyRetired {
            wallet: user.member,
            amount,
            credits,
            period: request.period,
            reason: reason.into(),
            source: place.into(),
            padding: [0; 2],
        });
        Ok(())
    }

    /// Burn what is retired.
    #[inline(always)]
    fn burn(&self, user: &User, place: Place, amount: WattHours) -> Result<()> {
        match place {
            Place::TokenAccount => {
                let (account, mint) = (self.energy_token_account.account(), self.energy_mint.account());
                Burn::new(account, mint, self.member.account(), amount.0).invoke()
            }
            Place::Seat => {
                let burn = BurnFromSeat {
                    mint_authority: self.mint_authority.account(),
                    market: self.market.account(),
                    seats: self.seats.account(),
                    energy_mint: self.energy_mint.account(),
                    energy_vault: self.energy_vault.account(),
                    token_program: self.token_program.account(),
                };
                as_mint_authority(|signer| burn.invoke_signed(user.member_index, amount, signer));
                Ok(())
            }
        }
    }

    /// The member's Retirement, made where it does not exist, moved on to the open billing period.
    fn retirement_of(&self, user: &User, config: &Config) -> Result<Writing<'_, Retirement>> {
        let view = self.retirement.account();
        let mut retirement = if is_account::<Retirement>(view) {
            borrow_mut::<Retirement>(view)?
        } else {
            let (mut retirement, bump) = make::<Retirement>(
                self.payer.account(),
                view,
                &[RETIRED_SEED, user.member.as_ref()],
                (EnergyTokenError::WrongRetirement, EnergyTokenError::WrongRetirement),
            )?;
            retirement.version = VERSION;
            retirement.bump = bump;
            retirement.wallet = user.member;
            retirement.period = config.billing_period;
            retirement
        };
        if !address_eq(&retirement.wallet, &user.member) {
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

/// Count a retirement against the withdrawals of a period.
#[inline(always)]
fn count_consumption(
    retirement: &mut Retirement,
    account: &EnergyAccount,
    period: BillingPeriod,
    amount: WattHours,
) -> Result<()> {
    let invalid = EnergyTokenError::RetirementInvariant;
    let retired =
        if period == retirement.period { &mut retirement.consumption_open } else { &mut retirement.consumption_previous };
    *retired = retired.checked_add(amount).ok_or(invalid)?;
    if *retired > account.withdrawals(period) {
        return Err(EnergyTokenError::ExceedsWithdrawals.into());
    }
    retirement.consumption_total = retirement.consumption_total.checked_add(amount).ok_or(invalid)?;
    Ok(())
}

/// Count a feed-in: of the member's own surplus only, so that nobody buys energy in order to feed it in.
#[inline(always)]
fn count_feed_in(retirement: &mut Retirement, account: &EnergyAccount, amount: WattHours, credits: MicroCredits) -> Result<()> {
    if credits == MicroCredits::ZERO {
        return Err(EnergyTokenError::TooSmall.into());
    }
    let invalid = EnergyTokenError::RetirementInvariant;
    retirement.feed_in_open = retirement.feed_in_open.checked_add(amount).ok_or(invalid)?;
    retirement.feed_in_total = retirement.feed_in_total.checked_add(amount).ok_or(invalid)?;
    if retirement.feed_in_total > account.minted {
        return Err(EnergyTokenError::ExceedsOwnSurplus.into());
    }
    retirement.feed_in_credits = retirement.feed_in_credits.checked_add(credits).ok_or(invalid)?;
    Ok(())
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
