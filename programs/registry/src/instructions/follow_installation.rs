//! Have a meter take over what is staged for its installation: the oracle reads meters alone.

use {
    anchor_lang::prelude::*,
    campus_common::{log, Checked, CheckedMut, Signatory},
    governance_interface::{Config, Operator, Pause},
    registry_interface::{events::InstallationFollowed, Installation, Meter, RegistryError},
};

/// Accounts of follow_installation.
#[derive(Accounts)]
pub struct FollowInstallation {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Installation.
    pub installation: Checked<Installation>,
    /// A Meter that stands there.
    #[account(unsafe(dup))]
    pub meter: CheckedMut<Meter>,
}

impl FollowInstallation {
    pub(crate) fn execute(&mut self) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        let (meter, installation) = (&mut self.meter, &self.installation);
        if meter.installation != installation.n {
            return Err(RegistryError::MeterOfAnother.into());
        }
        meter.follow(installation);
        log(&InstallationFollowed {
            meter_id: meter.meter_id,
            storage: meter.size(meter.staged_from, meter.staged_from).1,
            nameplate: meter.size(meter.staged_from, meter.staged_from).0,
            from_epoch: meter.staged_from,
        });
        Ok(())
    }
}
