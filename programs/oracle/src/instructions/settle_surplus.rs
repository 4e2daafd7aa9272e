//! Settle a member's meters together, and have the renewable surplus minted.

use {
    crate::settlement::{Span, Sums},
    anchor_lang::{
        address_eq,
        pinocchio::cpi::{Seed, Signer as CpiSigner},
        prelude::*,
    },
    campus_common::{
        log,
        units::{UnixTime, WattHours},
        Signatory, TOKEN_PROGRAM,
    },
    energy_token_interface::{
        can_receive,
        cpi::{MintEnergy, MintEnergyToSeat},
        ENERGY_MINT, MINT_AUTHORITY,
    },
    governance_interface::{Config, GovernanceError, Pause, CONFIG_ADDRESS},
    oracle_interface::{
        events::SurplusSettled, EnergyAccount, MeterState, Oracle, OracleError, ORACLE_ADDRESS, ORACLE_BUMP, ORACLE_SEED,
    },
    registry_interface::{Meter, MeterRole, User},
    trading_interface::{ENERGY_VAULT, SEATS},
};

/// Accounts of settle_surplus; then Meter and MeterState (writable) of each settling meter of the member.
#[derive(Accounts)]
pub struct SettleSurplus {
    /// The operator: the department's authorisation.
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Oracle account.
    #[account(mut, address = ORACLE_ADDRESS @ OracleError::WrongOracle)]
    pub oracle: UncheckedAccount,
    /// The member, as registered.
    pub user: UncheckedAccount,
    /// The member's EnergyAccount.
    #[account(mut)]
    pub energy_account: UncheckedAccount,
    /// The energy mint.
    #[account(mut, address = ENERGY_MINT @ OracleError::WrongMint)]
    pub energy_mint: UncheckedAccount,
    /// The member's energy token account.
    #[account(mut)]
    pub energy_token_account: UncheckedAccount,
    /// The energy token program's mint authority.
    #[account(address = MINT_AUTHORITY @ OracleError::WrongAddress)]
    pub mint_authority: UncheckedAccount,
    /// The market's vault of energy: for a member whose own account cannot take what is minted.
    #[account(mut, address = ENERGY_VAULT @ OracleError::WrongAddress)]
    pub energy_vault: UncheckedAccount,
    /// The market's seats, likewise.
    #[account(mut, address = SEATS @ OracleError::WrongAddress)]
    pub seats: UncheckedAccount,
    /// The trading program, likewise.
    #[account(address = trading_interface::ID @ OracleError::WrongProgram)]
    pub trading_program: UncheckedAccount,
    /// The energy token program.
    #[account(address = energy_token_interface::ID @ OracleError::WrongProgram)]
    pub energy_token_program: UncheckedAccount,
    /// SPL Token.
    #[account(address = TOKEN_PROGRAM @ OracleError::WrongProgram)]
    pub token_program: UncheckedAccount,
}

pub(crate) fn execute(ctx: &mut Context<SettleSurplus>, interval_end: i64) -> Result<()> {
    let pairs = ctx.remaining_accounts()?;
    let accounts = &ctx.accounts;
    let boundary = UnixTime(interval_end);
    let config = Config::load(accounts.config.account())?;
    config.require_operator(accounts.operator.account())?;
    config.require_running(Pause::SETTLEMENT)?;
    let user = User::load(accounts.user.account())?;
    user.require_active()?;
    let account = EnergyAccount::load_mut(accounts.energy_account.account())?;
    if !address_eq(&account.wallet, &user.wallet) {
        return Err(OracleError::WalletMismatch.into());
    }
    if !user.is_settleable() {
        return Err(OracleError::MeterSetNotSettleable.into());
    }
    if boundary <= account.boundary {
        return Err(OracleError::BoundaryNotRising.into());
    }

    let (sums, continuous) = gather(&pairs, user, account, boundary)?;
    // A baseline where the set of meters changed, or one of them was not settled at the same boundary as the others.
    let baseline = account.boundary.0 == 0 || account.settling_meters != user.settling_meters || !continuous;
    let from = if baseline { UnixTime(0) } else { account.boundary };
    let span = if baseline {
        // What the storage gave and took meanwhile is unknown: a bank kept through it would turn grid energy into tokens.
        Span::default()
    } else {
        // Those of the epoch that the span ends with, whenever it is settled.
        let parameters = config.parameters(config.epoch(UnixTime(boundary.0 - 1)));
        sums.settle(account.bank, parameters.storage_efficiency_bps)?
    };

    account.boundary = boundary;
    account.settling_meters = user.settling_meters;
    account.bank = span.bank;
    book_withdrawal(config, account, boundary, span.withdrawal)?;
    for (total, step) in [
        (&mut account.minted, span.mint),
        (&mut account.generated, span.generation),
        (&mut account.consumed, span.consumption),
        (&mut account.charged, span.charge),
        (&mut account.discharged, span.discharge),
        (&mut account.withdrawn, span.withdrawal),
        (&mut account.surplus, span.surplus),
    ] {
        *total = total.checked_add(step).ok_or(OracleError::EnergyOverflow)?;
    }
    let oracle = Oracle::load_mut(accounts.oracle.account())?;
    oracle.minted = oracle.minted.checked_add(span.mint).ok_or(OracleError::EnergyOverflow)?;
    oracle.withdrawn = oracle.withdrawn.checked_add(span.withdrawal).ok_or(OracleError::EnergyOverflow)?;
    oracle.settlements += 1;
    account.invariant()?;
    oracle.invariant()?;
    log(&SurplusSettled {
        wallet: user.wallet,
        from,
        to: boundary,
        generated: span.generation,
        consumed: span.consumption,
        charged: span.charge,
        discharged: span.discharge,
        bank: span.bank,
        minted: span.mint,
        withdrawn: span.withdrawal,
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

/// Check that every settling meter of the member is there once and stands at `boundary`; sum their steps and mark them settled.
/// Also whether all of them were settled together before.
#[inline(always)]
fn gather(pairs: &[AccountView], user: &User, account: &EnergyAccount, boundary: UnixTime) -> Result<(Sums, bool)> {
    if pairs.len() % 2 != 0 {
        return Err(OracleError::AccountsNotPaired.into());
    }
    let mut sums = Sums::default();
    let mut seen = 0u32;
    let mut continuous = true;
    for pair in pairs.chunks_exact(2) {
        let meter = Meter::load(&pair[0])?;
        let state = MeterState::load_mut(&pair[1])?;
        if !address_eq(&meter.user, &user.wallet) {
            return Err(OracleError::MeterOfAnotherUser.into());
        }
        if !address_eq(&state.meter, pair[0].address()) {
            return Err(OracleError::StateOfAnotherMeter.into());
        }
        let bit = if meter.slot < 32 { 1u32 << meter.slot } else { 0 };
        if bit & user.settling_meters == 0 || bit & seen != 0 {
            return Err(OracleError::MeterSetIncomplete.into());
        }
        seen |= bit;
        if state.generation != meter.generation || state.interval_end.0 == 0 {
            return Err(OracleError::ReadingOutdated.into());
        }
        if state.interval_end != boundary {
            return Err(OracleError::NotAtBoundary.into());
        }
        let Some(role) = MeterRole::from_code(meter.role) else {
            return Err(OracleError::MeterSetIncomplete.into());
        };
        if state.settled_end.0 != 0 && state.settled_end == account.boundary {
            sums.add(meter, role, state)?;
        } else {
            continuous = false;
        }
        state.settled = state.registers;
        state.settled_end = boundary;
        state.invariant()?;
    }
    if seen != user.settling_meters || seen == 0 {
        return Err(OracleError::MeterSetIncomplete.into());
    }
    Ok((sums, continuous))
}

/// Book a withdrawal in the billing period in which the span ends: the open one or, for a late span, the one before.
#[inline(always)]
fn book_withdrawal(config: &Config, account: &mut EnergyAccount, boundary: UnixTime, withdrawal: WattHours) -> Result<()> {
    let open = config.billing_period;
    if account.period != open {
        let follows = account.period.0.wrapping_add(1) == open.0;
        account.withdrawals_previous = if follows { account.withdrawals_open } else { WattHours::ZERO };
        account.withdrawals_open = WattHours::ZERO;
        account.period = open;
    }
    if withdrawal.0 == 0 {
        return Ok(());
    }
    if boundary > config.billing_period_end() {
        return Err(OracleError::BillingPeriodNotOpen.into());
    }
    let late = open.0 > 0 && boundary <= config.billing_period_start.start(config.epoch_seconds);
    let total = if late { &mut account.withdrawals_previous } else { &mut account.withdrawals_open };
    *total = total.checked_add(withdrawal).ok_or(OracleError::EnergyOverflow)?;
    Ok(())
}
