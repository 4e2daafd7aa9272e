//! Settle a member's meters together, and have the renewable surplus minted.

use {
    super::submit_readings::meter_of,
    crate::settlement::{add, Sums},
    anchor_lang::{
        address_eq,
        pinocchio::cpi::{Seed, Signer as CpiSigner},
        prelude::*,
        TryAccounts,
    },
    campus_common::{
        borrow_mut, log, now,
        units::{BillingPeriod, Epoch, UnixTime, WattHours},
        CampusAccount, Checked, CheckedMut, Foreign, Further, Next, Signatory, TOKEN_PROGRAM,
    },
    energy_token_interface::{
        can_receive,
        cpi::{MintEnergy, MintEnergyToSeat},
        ENERGY_MINT, MINT_AUTHORITY,
    },
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{
        events::{LateWithdrawalBooked, SurplusSettled},
        EnergyAccount, MeterState, Oracle, OracleError, SpanKind, DOUBTFUL_FLAGS, ORACLE_BUMP, ORACLE_SEED,
    },
    registry_interface::{Meter, User},
    trading_interface::{ENERGY_VAULT, SEATS},
};

/// Accounts of settle_surplus; then Meter and MeterState (writable) of each settling meter of the member.
#[derive(Accounts)]
pub struct SettleSurplus {
    /// The operator: the department's authorisation.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Oracle account.
    #[account(unsafe(dup))]
    pub oracle: CheckedMut<Oracle>,
    /// The member, as registered.
    pub user: Checked<User>,
    /// The member's EnergyAccount.
    #[account(unsafe(dup))]
    pub energy_account: CheckedMut<EnergyAccount>,
    /// The energy mint.
    #[account(unsafe(dup), address = ENERGY_MINT @ OracleError::WrongMint)]
    pub energy_mint: Foreign,
    /// The member's energy token account.
    #[account(unsafe(dup))]
    pub energy_token_account: Foreign,
    /// The energy token program's mint authority.
    #[account(address = MINT_AUTHORITY @ OracleError::WrongAddress)]
    pub mint_authority: Foreign,
    /// The market's vault of energy: for a member whose own account cannot take what is minted. With the next two it may be left out, so that
    /// more members fit into a transaction; such a mint is then refused.
    #[account(unsafe(dup), address = ENERGY_VAULT @ OracleError::WrongAddress)]
    pub energy_vault: Option<Foreign>,
    /// The market's seats, likewise.
    #[account(unsafe(dup), address = SEATS @ OracleError::WrongAddress)]
    pub seats: Option<Foreign>,
    /// The trading program, likewise.
    #[account(address = trading_interface::ID @ OracleError::WrongProgram)]
    pub trading_program: Option<Foreign>,
    /// The energy token program.
    #[account(address = energy_token_interface::ID @ OracleError::WrongProgram)]
    pub energy_token_program: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ OracleError::WrongProgram)]
    pub token_program: Foreign,
}

pub(crate) fn execute(ctx: &mut Context<SettleSurplus>, interval_end: i64) -> Result<()> {
    ctx.accounts.settle(UnixTime(interval_end))
}

// Each step is a function of its own: in one piece the compiler would keep every account of the instruction in its ten registers at once, and
// put most of them on the stack before each use.

impl SettleSurplus {
    /// The accounts behind the declared ones.
    #[inline(always)]
    fn further(&self) -> Result<Further> {
        let others = [self.energy_token_account.account()];
        // SAFETY: all others have an address that is not SPL Token's, or an owner that is one of the campus programs; an optional account that
        // is left out is this program.
        unsafe {
            Further::after(
                self.operator.account(),
                others,
                self.token_program.account(),
                Self::HEADER_SIZE,
                OracleError::GivenTwice,
            )
        }
    }

    #[inline(never)]
    fn settle(&mut self, boundary: UnixTime) -> Result<()> {
        let mut further = self.further()?;
        let config: &Config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::SETTLEMENT)?;
        let user: &User = &self.user;
        let account: &mut EnergyAccount = &mut self.energy_account;
        user.require_not_closed()?;
        if !address_eq(&account.wallet, &user.member) {
            return Err(OracleError::WalletMismatch.into());
        }
        if !user.is_settleable() {
            return Err(OracleError::MeterSetNotSettleable.into());
        }
        if boundary <= account.boundary {
            return Err(OracleError::BoundaryNotRising.into());
        }

        // A span is settled by the parameters of the epoch that it ends with, whenever that is.
        let last_epoch = config.epoch(UnixTime(boundary.0 - 1));
        let parameters = config.parameters(last_epoch);
        let mut gathered = Gathered { sums: Sums::default(), seen: 0, undoubted: true };
        gathered.gather(&mut further, user, &Boundaries { before: account.boundary, boundary, last_epoch })?;
        let length = boundary.0 - account.boundary.0;
        let longest = parameters.longest_netted(config.epoch_seconds);
        let kind = if account.boundary.0 == 0 {
            SpanKind::Baseline
        } else if length > longest {
            SpanKind::TooLong
        } else if account.settling_meters != user.settling_meters || !gathered.undoubted {
            SpanKind::Baseline
        } else {
            SpanKind::Netted
        };
        let from = if matches!(kind, SpanKind::Baseline) { UnixTime(0) } else { account.boundary };
        let span = gathered.sums.settle(kind, account.bank, parameters.storage_efficiency_bps)?;

        account.boundary = boundary;
        account.settling_meters = user.settling_meters;
        account.bank = span.bank;
        let period = book_withdrawal(config, account, boundary, span.withdrawal)?;
        add(&mut account.minted, span.mint)?;
        add(&mut account.generated, span.generation)?;
        add(&mut account.consumed, span.consumption)?;
        add(&mut account.charged, span.charge)?;
        add(&mut account.discharged, span.discharge)?;
        add(&mut account.surplus, span.surplus)?;
        let oracle: &mut Oracle = &mut self.oracle;
        add(&mut oracle.minted, span.mint)?;
        add(&mut oracle.withdrawn, span.withdrawal)?;
        oracle.settlements += 1;
        log(&SurplusSettled {
            wallet: user.member,
            from,
            to: boundary,
            generated: span.generation,
            consumed: span.consumption,
            charged: span.charge,
            discharged: span.discharge,
            bank: span.bank,
            minted: span.mint,
            withdrawn: span.withdrawal,
            period,
            kind: kind.into(),
            padding: [0; 3],
        });
        if span.mint.0 > 0 {
            self.mint(span.mint);
        }
        Ok(())
    }

    /// Have `amount` minted: to the member's token account, or, where that cannot take it, to its seat, if the accounts for that are there.
    #[inline(never)]
    fn mint(&self, amount: WattHours) {
        let bump = [ORACLE_BUMP];
        let seeds = [Seed::from(ORACLE_SEED), Seed::from(&bump)];
        let signer = CpiSigner::from(&seeds);
        if let (Some(energy_vault), Some(seats), Some(trading_program)) = (&self.energy_vault, &self.seats, &self.trading_program)
        {
            if !can_receive(self.energy_token_account.account(), &ENERGY_MINT, &self.user.wallet) {
                return MintEnergyToSeat {
                    oracle: self.oracle.account(),
                    user: self.user.account(),
                    energy_mint: self.energy_mint.account(),
                    energy_token_account: self.energy_token_account.account(),
                    mint_authority: self.mint_authority.account(),
                    energy_vault: energy_vault.account(),
                    seats: seats.account(),
                    trading_program: trading_program.account(),
                    token_program: self.token_program.account(),
                }
                .invoke_signed(amount, signer);
            }
        }
        // It refuses an account that cannot take it.
        MintEnergy {
            oracle: self.oracle.account(),
            user: self.user.account(),
            energy_mint: self.energy_mint.account(),
            energy_token_account: self.energy_token_account.account(),
            mint_authority: self.mint_authority.account(),
            token_program: self.token_program.account(),
        }
        .invoke_signed(amount, signer);
    }
}

/// What a member's settling meters come to at a boundary.
struct Gathered {
    sums: Sums,
    /// Slots of the meters seen so far.
    seen: u32,
    /// Whether all of them were settled together before, and nothing casts a doubt on what they measured since.
    undoubted: bool,
}

/// Where a span begins and ends.
struct Boundaries {
    /// Where the member was last settled; 0 before the first time.
    before: UnixTime,
    /// Where the span ends.
    boundary: UnixTime,
    /// The epoch that the span ends with.
    last_epoch: Epoch,
}

impl Gathered {
    /// Check that every settling meter of the member is there once and stands where the span ends; sum their steps since it began, and mark
    /// them settled.
    #[inline(always)]
    fn gather(&mut self, further: &mut Further, user: &User, span: &Boundaries) -> Result<()> {
        if further.left() % 2 != 0 {
            return Err(OracleError::AccountsNotPaired.into());
        }
        while let (Some(meter), Some(state)) = (further.next(), further.next()) {
            // None comes twice, and none is one of those before.
            let (Next::Account(meter), Next::Account(state)) = (meter, state) else {
                return Err(OracleError::GivenTwice.into());
            };
            self.take(&[meter, state], user, span)?;
        }
        if self.seen != user.settling_meters || self.seen == 0 {
            return Err(OracleError::MeterSetIncomplete.into());
        }
        Ok(())
    }

    /// Take in one settling meter, given as Meter and MeterState.
    #[inline(never)]
    fn take(&mut self, pair: &[AccountView; 2], user: &User, span: &Boundaries) -> Result<()> {
        let state: &mut MeterState = &mut *borrow_mut(&pair[1])?;
        let meter = meter_of(state, &pair[0])?;
        if !address_eq(&meter.user, &user.member) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        let bit = if meter.slot < 32 { 1u32 << meter.slot } else { 0 };
        if bit & user.settling_meters == 0 || bit & self.seen != 0 {
            return Err(OracleError::MeterSetIncomplete.into());
        }
        self.seen |= bit;
        if state.interval_end.0 == 0 {
            return Err(OracleError::NoReading.into());
        }
        if state.interval_end != span.boundary {
            return Err(OracleError::NotAtBoundary.into());
        }
        let Some(role) = meter.role.get() else {
            return Err(OracleError::MeterSetIncomplete.into());
        };
        let known = is_known(state, meter);
        if known && state.settled_end == span.before && state.settled_end.0 != 0 {
            let last = span.last_epoch;
            let storage = if meter.staged_from.0 == 0 { meter.storage } else { meter.size(last, last).1 };
            self.sums.add(meter, role, state, storage)?;
            self.undoubted &= state.generation == meter.generation && state.doubt == 0;
        } else {
            if known {
                self.sums.add_arrears(state)?;
            }
            self.undoubted = false;
        }
        mark_settled(state, meter);
        state.invariant()
    }
}

/// Whether `settled` is this member's: the registers at the last settlement or, before there is one, at the first reading. A meter changes hands
/// without a reading or where all are settled, so what was never settled was read for the member that it has; and where it was silent for long
/// before it changed hands, only its next reading is.
#[inline(always)]
pub(crate) fn is_known(state: &MeterState, meter: &Meter) -> bool {
    state.settled_end.0 == 0 || state.generation >= meter.user_since
}

/// Mark a meter settled at its last reading; if that is doubtful, the span that begins with it is, too.
#[inline(always)]
pub(crate) fn mark_settled(state: &mut MeterState, meter: &Meter) {
    state.settled = state.registers;
    state.settled_end = state.interval_end;
    state.generation = meter.generation;
    if state.doubt != 0 {
        state.doubt = state.flags & DOUBTFUL_FLAGS;
        state.carried = [WattHours::ZERO; 4];
    }
}

/// Book a withdrawal in the billing period in which the span ended, or in the open one, with an event, where that takes no retirements any
/// more. The period in which it is booked.
#[inline(always)]
pub(crate) fn book_withdrawal(
    config: &Config,
    account: &mut EnergyAccount,
    boundary: UnixTime,
    withdrawal: WattHours,
) -> Result<BillingPeriod> {
    let open = config.billing_period;
    if account.period != open {
        let follows = account.period.0.wrapping_add(1) == open.0;
        account.withdrawals_previous = if follows { account.withdrawals_open } else { WattHours::ZERO };
        account.withdrawals_open = WattHours::ZERO;
        account.period = open;
    }
    if withdrawal.0 == 0 {
        return Ok(open);
    }
    let Some(period) = config.period_of_span(boundary, now()?) else {
        return Err(OracleError::BillingPeriodNotOpen.into());
    };
    let late = open.0 > 0 && boundary <= config.billing_period_start.start(config.epoch_seconds);
    if late && period == open {
        log(&LateWithdrawalBooked { wallet: account.wallet, to: boundary, withdrawn: withdrawal, period, padding: [0; 4] });
    }
    let total = if period == open { &mut account.withdrawals_open } else { &mut account.withdrawals_previous };
    add(total, withdrawal)?;
    add(&mut account.withdrawn, withdrawal)?;
    Ok(period)
}
