//! The rule that turns registers into tokens (docs/ARCHITECTURE.md, "Energy into tokens").
//!
//! Over a span between two boundaries at which every settling meter has a reading, with g, c, q (charge), d (discharge) summed over the
//! meters, and where there is a grid meter c = max(0, import + g + d - export - q):
//!
//! ```text
//! surplus s = max(0, g - c)     into = min(q, s)         bank'  = min(storage, bank + into x efficiency)
//! out = min(d, bank')           bank'' = bank' - out     net    = g + d - c - q
//! mint = min(max(0, net), s - into + out)                withdrawal = max(0, -net)
//! ```
//!
//! So energy charged from the grid never comes out as a renewable token: the bank grows by surplus alone.
//!
//! That holds for a span of at most `netting_epochs` in which the same meters were read, with the same keys, users, maps and status, and
//! without doubt. Anything else credits nothing, empties the bank, and books what was drawn, as far as registers are continuous:
//!
//! ```text
//! baseline of at most netting_epochs      withdrawal = max(0, -net), of the meters that were settled where the span began
//! longer than netting_epochs              withdrawal = c + q
//! a meter that was last settled earlier   its consumption (or import) and charge on top
//! ```
//!
//! So whoever is silent, changes a key or a meter never pays less than by honest sending, and is never credited more.

use {
    crate::record::{CHARGE, CONSUMPTION, DISCHARGE, GENERATION},
    campus_common::units::{BasisPoints, WattHours},
    oracle_interface::{MeterState, OracleError, SpanKind},
    registry_interface::{Meter, MeterRole, StoredSource, MAX_SETTLING_METERS},
};

/// Sums over a member's settling meters.
#[derive(Default)]
pub struct Sums {
    generation: WattHours,
    consumption: WattHours,
    charge: WattHours,
    discharge: WattHours,
    import: WattHours,
    export: WattHours,
    has_grid: bool,
    has_source: bool,
    storage: WattHours,
    /// What meters drew that were last settled before the span began.
    arrears: WattHours,
    /// Installations whose storage is counted already: several meters may stand at one.
    counted: [u32; MAX_SETTLING_METERS as usize],
    installations: usize,
}

/// What a span comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub generation: WattHours,
    pub consumption: WattHours,
    pub charge: WattHours,
    pub discharge: WattHours,
    pub surplus: WattHours,
    pub bank: WattHours,
    pub mint: WattHours,
    pub withdrawal: WattHours,
}

/// Add, or refuse.
#[inline(always)]
pub fn add(sum: &mut WattHours, step: WattHours) -> Result<(), OracleError> {
    // Not `checked_add`: of its Option the compiler makes twice as many instructions.
    if step.0 > u64::MAX - sum.0 {
        return Err(OracleError::EnergyOverflow);
    }
    sum.0 += step.0;
    Ok(())
}

/// What a register rose by since the meter's last settlement.
#[inline(always)]
fn risen(state: &MeterState, index: usize) -> WattHours {
    // MeterState::invariant: what is settled never exceeds what was read.
    let since = WattHours(state.registers[index].0.wrapping_sub(state.settled[index].0));
    // Only a reset carries anything, and it leaves its flag.
    if state.doubt == 0 {
        return since;
    }
    since.saturating_add(state.carried[index])
}

/// What a meter drew since its last settlement: consumed, imported and charged.
#[inline(always)]
pub fn drawn(state: &MeterState) -> WattHours {
    risen(state, CONSUMPTION).saturating_add(risen(state, CHARGE))
}

impl Sums {
    /// Add what a meter drew that was last settled before the span began.
    #[inline(always)]
    pub fn add_arrears(&mut self, state: &MeterState) -> Result<(), OracleError> {
        add(&mut self.arrears, drawn(state))
    }

    /// Add a meter's steps since its last settlement, where the span began. `storage` is what counts in the epoch that the span ends with.
    #[inline(always)]
    pub fn add(&mut self, meter: &Meter, role: MeterRole, state: &MeterState, storage: WattHours) -> Result<(), OracleError> {
        let step = |index: usize| risen(state, index);
        match role {
            MeterRole::Generation => add(&mut self.generation, step(GENERATION))?,
            MeterRole::Load => add(&mut self.consumption, step(CONSUMPTION))?,
            MeterRole::Storage => {
                add(&mut self.charge, step(CHARGE))?;
                add(&mut self.discharge, step(DISCHARGE))?;
                self.add_storage(meter, storage)?;
            }
            MeterRole::Grid => {
                self.has_grid = true;
                add(&mut self.import, step(CONSUMPTION))?;
                add(&mut self.export, step(GENERATION))?;
            }
            MeterRole::Building => {
                add(&mut self.generation, step(GENERATION))?;
                add(&mut self.consumption, step(CONSUMPTION))?;
                add(&mut self.charge, step(CHARGE))?;
                add(&mut self.discharge, step(DISCHARGE))?;
                self.add_storage(meter, storage)?;
            }
            MeterRole::Submeter => {}
        }
        self.has_source |= meter.source != StoredSource(0);
        Ok(())
    }

    /// Count an installation's storage once.
    #[inline(always)]
    fn add_storage(&mut self, meter: &Meter, storage: WattHours) -> Result<(), OracleError> {
        if storage.0 == 0 || self.counted[..self.installations].contains(&meter.installation) {
            return Ok(());
        }
        let Some(place) = self.counted.get_mut(self.installations) else {
            return Err(OracleError::MeterSetIncomplete);
        };
        *place = meter.installation;
        self.installations += 1;
        add(&mut self.storage, storage)
    }

    /// Apply the rule.
    #[inline(always)]
    pub fn settle(&self, kind: SpanKind, bank: WattHours, efficiency: BasisPoints) -> Result<Span, OracleError> {
        let (g, q, d) = (self.generation, self.charge, self.discharge);
        let mut gained = g;
        add(&mut gained, d)?;
        let c = if self.has_grid {
            let mut sources = gained;
            add(&mut sources, self.import)?;
            let mut sinks = q;
            add(&mut sinks, self.export)?;
            sources.saturating_sub(sinks)
        } else {
            self.consumption
        };
        let mut used = c;
        add(&mut used, q)?;
        let mut span = Span {
            generation: g,
            consumption: c,
            charge: q,
            discharge: d,
            withdrawal: if matches!(kind, SpanKind::TooLong) { used } else { used.saturating_sub(gained) },
            ..Span::default()
        };
        add(&mut span.withdrawal, self.arrears)?;
        if !matches!(kind, SpanKind::Netted) {
            // What the storage gave and took meanwhile is unknown: a bank kept through it would turn grid energy into tokens.
            return Ok(span);
        }
        if !self.has_source {
            span.bank = bank;
            return Ok(span);
        }
        let surplus = g.saturating_sub(c);
        let into = q.min(surplus);
        let mut banked = bank;
        add(&mut banked, efficiency.of_energy(into))?;
        banked = banked.min(self.storage);
        let out = d.min(banked);
        let mut entitled = surplus.saturating_sub(into);
        add(&mut entitled, out)?;
        span.surplus = surplus;
        span.bank = banked.saturating_sub(out);
        span.mint = gained.saturating_sub(used).min(entitled);
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(g: u64, c: u64, q: u64, d: u64) -> Sums {
        Sums {
            generation: WattHours(g),
            consumption: WattHours(c),
            charge: WattHours(q),
            discharge: WattHours(d),
            storage: WattHours(10_000),
            has_source: true,
            ..Sums::default()
        }
    }

    fn settle(sums: &Sums, bank: u64) -> (u64, u64, u64) {
        let span = sums.settle(SpanKind::Netted, WattHours(bank), BasisPoints(9_000)).unwrap();
        (span.mint.0, span.bank.0, span.withdrawal.0)
    }

    #[test]
    fn surplus_is_minted_and_deficit_is_withdrawn() {
        assert_eq!(settle(&sums(1_000, 400, 0, 0), 0), (600, 0, 0));
        assert_eq!(settle(&sums(400, 1_000, 0, 0), 0), (0, 0, 600));
    }

    #[test]
    fn surplus_goes_into_the_bank_first_and_comes_out_with_losses() {
        assert_eq!(settle(&sums(1_000, 400, 500, 0), 0), (100, 450, 0));
        assert_eq!(settle(&sums(0, 0, 0, 500), 450), (450, 0, 0));
    }

    #[test]
    fn a_battery_charged_from_the_grid_mints_nothing() {
        assert_eq!(settle(&sums(0, 0, 1_000, 0), 0), (0, 0, 1_000));
        assert_eq!(settle(&sums(0, 0, 0, 900), 0), (0, 0, 0));
    }

    #[test]
    fn the_bank_holds_no_more_than_the_storage() {
        assert_eq!(settle(&sums(50_000, 0, 50_000, 0), 0), (0, 10_000, 0));
    }

    #[test]
    fn without_a_source_nothing_is_minted() {
        let mut none = sums(1_000, 0, 0, 0);
        none.has_source = false;
        assert_eq!(settle(&none, 5), (0, 5, 0));
    }

    #[test]
    fn a_baseline_books_the_withdrawal_and_a_long_span_the_whole_consumption() {
        let settle = |kind, sums: &Sums| {
            let span = sums.settle(kind, WattHours(450), BasisPoints(9_000)).unwrap();
            (span.mint.0, span.bank.0, span.surplus.0, span.withdrawal.0)
        };
        let mut both = sums(1_000, 1_400, 200, 0);
        assert_eq!(settle(SpanKind::Baseline, &both), (0, 0, 0, 600));
        assert_eq!(settle(SpanKind::TooLong, &both), (0, 0, 0, 1_600));
        both.arrears = WattHours(70);
        assert_eq!(settle(SpanKind::Baseline, &both), (0, 0, 0, 670));
        assert_eq!(settle(SpanKind::Baseline, &sums(1_000, 400, 0, 0)), (0, 0, 0, 0));
        assert_eq!(settle(SpanKind::TooLong, &sums(1_000, 400, 0, 900)), (0, 0, 0, 400));
    }

    #[test]
    fn a_grid_meter_gives_the_consumption() {
        let mut grid = sums(1_000, 0, 100, 50);
        grid.has_grid = true;
        grid.import = WattHours(200);
        grid.export = WattHours(650);
        // c = 200 + 1000 + 50 - 650 - 100 = 500
        let span = grid.settle(SpanKind::Netted, WattHours(0), BasisPoints(9_000)).unwrap();
        assert_eq!((span.consumption.0, span.surplus.0, span.mint.0, span.bank.0, span.withdrawal.0), (500, 500, 450, 40, 0));
    }

    #[test]
    fn nothing_is_ever_credited_beyond_the_surplus() {
        let values = [0, 1, 7, 333, 5_000, 60_000];
        for g in values {
            for c in values {
                for q in values {
                    for d in values {
                        for bank in [0, 9, 4_000, 10_000] {
                            let span = sums(g, c, q, d).settle(SpanKind::Netted, WattHours(bank), BasisPoints(9_000)).unwrap();
                            assert!(span.mint.0 + span.bank.0 <= span.surplus.0 + bank);
                            assert!(span.mint.0 == 0 || span.withdrawal.0 == 0);
                            assert!(span.bank.0 <= 10_000);
                        }
                    }
                }
            }
        }
    }
}
