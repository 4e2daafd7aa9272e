//! Stage parameters for a later epoch: nobody's running epoch changes its rules.

use {
    anchor_lang::prelude::*,
    campus_common::{log, now, units::Epoch, Signatory},
    governance_interface::{events::ParametersStaged, Config, GovernanceError, Parameters, CONFIG_ADDRESS},
};

/// How far ahead parameters may be staged: a year of 15-minute epochs.
const FURTHEST_EPOCHS: u32 = 366 * 96;

/// Accounts of stage_parameters.
#[derive(Accounts)]
pub struct StageParameters {
    /// The authority.
    pub authority: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl StageParameters {
    pub(crate) fn execute(&mut self, parameters: Parameters, from_epoch: Epoch) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        config.require_authority(self.authority.account())?;
        let current = config.epoch(now()?);
        if from_epoch <= current {
            return Err(GovernanceError::StagedTooEarly.into());
        }
        if from_epoch.0 - current.0 > FURTHEST_EPOCHS {
            return Err(GovernanceError::StagedTooLate.into());
        }
        // What was staged before and holds by now is what holds until these do; what does not hold yet is replaced.
        config.parameters = *config.parameters(current);
        config.staged = parameters;
        config.staged_from = from_epoch;
        log(&ParametersStaged { from_epoch });
        config.invariant()
    }
}
