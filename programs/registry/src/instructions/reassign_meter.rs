//! Give a meter to another member, once everything that it measured is settled: with its user's other meters by settle_surplus, or alone
//! by settle_idle_meter where it takes no part.

use {
    crate::loaders::{kinds_of, raise_generation, require_not_closed},
    anchor_lang::{address_eq, prelude::*},
    campus_common::{log, now, units::UnixTime, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator, Pause},
    oracle_interface::MeterState,
    registry_interface::{events::MeterReassigned, Meter, RegistryError, User},
};

/// Accounts of reassign_meter.
#[derive(Accounts)]
pub struct ReassignMeter {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Meter.
    #[account(unsafe(dup))]
    pub meter: CheckedMut<Meter>,
    /// The User whose meter it is.
    #[account(unsafe(dup))]
    pub from_user: CheckedMut<User>,
    /// The User whose meter it becomes.
    #[account(unsafe(dup))]
    pub to_user: CheckedMut<User>,
    /// The meter's MeterState of the oracle.
    pub meter_state: Checked<MeterState>,
}

impl ReassignMeter {
    pub(crate) fn execute(&mut self) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        let (meter, from, to) = (&mut self.meter, &mut self.from_user, &mut self.to_user);
        require_not_closed(meter)?;
        if !address_eq(&meter.user, &from.member) {
            return Err(RegistryError::MeterOfAnother.into());
        }
        to.require_active()?;
        let state = &self.meter_state;
        if !address_eq(&state.meter, meter.account().address()) {
            return Err(RegistryError::WrongOracleAccount.into());
        }
        let (role, source) = kinds_of(meter)?;
        if role.settles() && state.settled_end != state.interval_end {
            return Err(RegistryError::NotAtSettledBoundary.into());
        }
        if meter.is_active() {
            from.remove_meter(role, source, meter.slot)?;
            meter.slot = to.add_meter(role, source)?;
        }
        // Where it was settled just now, its registers are known, and whatever they rise by from there on is the new user's. Where it was
        // silent for long, what it drew meanwhile is not the new user's, whose registers begin with the next reading.
        let now = now()?;
        let longest = self.config.parameters(self.config.epoch(now)).longest_netted(self.config.epoch_seconds);
        let known = now.0 - state.settled_end.0 <= longest;
        let boundary = if known { state.settled_end } else { UnixTime(0) };
        log(&MeterReassigned { meter_id: meter.meter_id, before: from.member, after: to.member, boundary });
        meter.user = to.member;
        raise_generation(meter)?;
        if !known {
            meter.user_since = meter.generation;
        }
        Ok(())
    }
}
