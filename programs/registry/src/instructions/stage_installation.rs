//! Stage another nameplate and storage for an installation, from a later epoch on.

use {
    anchor_lang::prelude::*,
    campus_common::{
        log, now,
        units::{Epoch, WattHours, Watts},
        Checked, CheckedMut, Signatory,
    },
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::InstallationStaged, Installation, RegistryError},
};

/// How far ahead: a year of 15-minute epochs.
const FURTHEST_EPOCHS: u32 = 366 * 96;

/// Accounts of stage_installation.
#[derive(Accounts)]
pub struct StageInstallation {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Installation.
    #[account(unsafe(dup))]
    pub installation: CheckedMut<Installation>,
}

impl StageInstallation {
    pub(crate) fn execute(&mut self, nameplate: Watts, storage: WattHours, from_epoch: Epoch) -> Result<()> {
        let config = &self.config;
        config.require_operator(&self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let current = config.epoch(now()?);
        if from_epoch <= current || from_epoch.0 - current.0 > FURTHEST_EPOCHS {
            return Err(RegistryError::StagedOutOfBounds.into());
        }
        let installation = &mut self.installation;
        // What was staged before and holds by now is what holds until these do; what does not hold yet is replaced.
        installation.take_over(current);
        installation.staged_nameplate = nameplate;
        installation.staged_storage = storage;
        installation.staged_from = from_epoch;
        log(&InstallationStaged { storage, nameplate, n: installation.n, from_epoch, padding: [0; 4] });
        Ok(())
    }
}
