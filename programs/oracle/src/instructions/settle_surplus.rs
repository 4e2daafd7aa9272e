//! Settle a member's meters together, and have the renewable surplus minted.

use {
    super::submit_readings::meter_of,
    crate::settlement::{add, Sums},
    anchor_lang::{
        address_eq,
        pinocchio::cpi::{Seed, Signer as CpiSigner},
        prelude::*,
    },
    campus_common::{
        borrow_mut, log, now,
        units::{BillingPeriod, Epoch, UnixTime, WattHours},
        CampusAccount, Checked, CheckedMut, Foreign, Signatory, TOKEN_PROGRAM,
    },
    energy_token_interface::{
        can_receive,
        cpi::{MintEnergy, MintEnergyToSeat},
        ENERGY_MINT, MINT_AUTHORITY,
    },
    governance_interface::{Config, Operator, Pause},
    oracle_interface::{
        events::{LateWithdrawalBooked, SpanKind, SurplusSettled},
        EnergyAccount, MeterState, Oracle, OracleError, DOUBTFUL_FLAGS, ORACLE_BUMP, ORACLE_SEED,
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
    /// The market's vault of energy: for a member whose own account cannot take what is minted.
    #[account(unsafe(dup), address = ENERGY_VAULT @ OracleError::WrongAddress)]
    pub energy_vault: Foreign,
    /// The market's seats, likewise.
    #[account(unsafe(dup), address = SEATS @ OracleError::WrongAddress)]
    pub seats: Foreign,
    /// The trading program, likewise.
    #[account(address = trading_interface::ID @ OracleError::WrongProgram)]
    pub trading_program: Foreign,
    /// The energy token program.
    #[account(address = energy_token_interface::ID @ OracleError::WrongProgram)]
    pub energy_token_program: Foreign,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ OracleError::WrongProgram)]
    pub token_program: Foreign,
}

pub(crate) fn execute(ctx: &mut Context<SettleSurplus>, interval_end: i64) -> Result<()> {
    let pairs = ctx.remaining_accounts()?;
    let accounts = &mut ctx.accounts;
    let boundary = UnixTime(interval_end);
    let config: &Config = &accounts.config;
    config.require_operator(accounts.operator.account())?;
    config.require_running(Pause::SETTLEMENT)?;
    let user: &User = &accounts.user;
    let account: &mut EnergyAccount = &mut accounts.energy_account;
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
    let mut sums = Sums::default();
    let undoubted = gather(&mut sums, &pairs, user, account, boundary, last_epoch)?;
    let length = (boundary.0 - account.boundary.0) as u64;
    let longest = parameters.netting_epochs as u64 * config.epoch_seconds.0 as u64;
    let kind = if account.boundary.0 == 0 {
        SpanKind::Baseline
    } else if length > longest {
        SpanKind::TooLong
    } else if account.settling_meters != user.settling_meters || !undoubted {
        SpanKind::Baseline
    } else {
        SpanKind::Netted
    };
    let from = if matches!(kind, SpanKind::Baseline) { UnixTime(0) } else { account.boundary };
    let span = sums.settle(kind, account.bank, parameters.storage_efficiency_bps)?;

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
    let oracle: &mut Oracle = &mut accounts.oracle;
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
        kind: kind as u8,
        padding: [0; 3],
    });
    if span.mint.0 > 0 {
        let bump = [ORACLE_BUMP];
        let seeds = [Seed::from(ORACLE_SEED), Seed::from(&bump)];
        let signer = CpiSigner::from(&seeds);
        if can_receive(accounts.energy_token_account.account(), &ENERGY_MINT, &user.wallet) {
            MintEnergy {
                oracle: accounts.oracle.account(),
                user: accounts.user.account(),
                energy_mint: accounts.energy_mint.account(),
                energy_token_account: accounts.energy_token_account.account(),
                mint_authority: accounts.mint_authority.account(),
                token_program: accounts.token_program.account(),
            }
            .invoke_signed(span.mint, signer);
        } else {
            MintEnergyToSeat {
                oracle: accounts.oracle.account(),
                user: accounts.user.account(),
                energy_mint: accounts.energy_mint.account(),
                energy_token_account: accounts.energy_token_account.account(),
                mint_authority: accounts.mint_authority.account(),
                energy_vault: accounts.energy_vault.account(),
                seats: accounts.seats.account(),
                trading_program: accounts.trading_program.account(),
                token_program: accounts.token_program.account(),
            }
            .invoke_signed(span.mint, signer);
        }
    }
    Ok(())
}

/// Check that every settling meter of the member is there once and stands at `boundary`; sum their steps and mark them settled. Also whether
/// all of them were settled together before, and nothing casts a doubt on what they measured since.
#[inline(always)]
fn gather(
    sums: &mut Sums,
    pairs: &[AccountView],
    user: &User,
    account: &EnergyAccount,
    boundary: UnixTime,
    last_epoch: Epoch,
) -> Result<bool> {
    if pairs.len() % 2 != 0 {
        return Err(OracleError::AccountsNotPaired.into());
    }
    let mut seen = 0u32;
    let mut undoubted = true;
    for pair in pairs.chunks_exact(2) {
        let state: &mut MeterState = &mut *borrow_mut(&pair[1])?;
        let meter = meter_of(state, &pair[0])?;
        if !address_eq(&meter.user, &user.member) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        let bit = if meter.slot < 32 { 1u32 << meter.slot } else { 0 };
        if bit & user.settling_meters == 0 || bit & seen != 0 {
            return Err(OracleError::MeterSetIncomplete.into());
        }
        seen |= bit;
        if state.interval_end.0 == 0 {
            return Err(OracleError::NoReading.into());
        }
        if state.interval_end != boundary {
            return Err(OracleError::NotAtBoundary.into());
        }
        let Some(role) = meter.role.get() else {
            return Err(OracleError::MeterSetIncomplete.into());
        };
        // Known are the registers at the last settlement, if it was this member's.
        let known = state.settled_end.0 != 0 && state.generation >= meter.user_since;
        if known && state.settled_end == account.boundary {
            let storage = if meter.staged_from.0 == 0 { meter.storage } else { meter.size(last_epoch, last_epoch).1 };
            sums.add(meter, role, state, storage)?;
            undoubted &= state.generation == meter.generation && state.doubt == 0;
        } else {
            if known {
                sums.add_arrears(state)?;
            }
            undoubted = false;
        }
        mark_settled(state, meter);
        state.invariant()?;
    }
    if seen != user.settling_meters || seen == 0 {
        return Err(OracleError::MeterSetIncomplete.into());
    }
    Ok(undoubted)
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
