//! Stage parameters for a later epoch: no epoch is run under two sets of them.
//!
//! The current epoch's are in use, and the next one's may be: its book takes them over when it is opened, up to an epoch ahead.
//! So the first epoch whose parameters are still free is the one after.

use {
    anchor_lang::prelude::*,
    campus_common::{log, now, units::Epoch, CheckedMut, Signatory},
    governance_interface::{events::ParametersStaged, Authority, Config, GovernanceError, Parameters},
};

/// How far ahead parameters must be staged: trading opens books of the current epoch and the next.
const NEAREST_EPOCHS: u32 = 2;
/// How far ahead parameters may be staged: a year of 15-minute epochs.
const FURTHEST_EPOCHS: u32 = 366 * 96;

/// Accounts of stage_parameters.
#[derive(Accounts)]
pub struct StageParameters {
    /// The authority.
    pub authority: Signatory<Authority>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl StageParameters {
    pub(crate) fn execute(&mut self, parameters: Parameters, from_epoch: Epoch) -> Result<()> {
        let config = &mut self.config;
        config.require_authority(&self.authority)?;
        let now = now()?;
        let current = config.epoch(now);
        let ahead = from_epoch.0.saturating_sub(current.0);
        if ahead < NEAREST_EPOCHS {
            return Err(GovernanceError::StagedTooEarly.into());
        }
        if ahead > FURTHEST_EPOCHS {
            return Err(GovernanceError::StagedTooLate.into());
        }
        // What would be replaced is due in the next epoch, whose book may have it already.
        if config.staged_from.0 == current.0.saturating_add(1) {
            return Err(GovernanceError::StagedAlreadyDue.into());
        }
        // A period that should have begun is still to get its length from the parameters in force at its start.
        if now >= config.billing_period_end() {
            return Err(GovernanceError::BillingPeriodOverdue.into());
        }
        // What was staged before and holds by now is what holds until these do; what does not hold yet is replaced.
        config.parameters = *config.parameters(current);
        config.staged = parameters;
        config.staged_from = from_epoch;
        log(&ParametersStaged { from_epoch, parameters });
        Ok(())
    }
}
