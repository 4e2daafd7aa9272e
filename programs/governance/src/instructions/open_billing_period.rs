//! Close the open billing period at its end and open the next.

use {
    anchor_lang::prelude::*,
    campus_common::{
        log, now,
        units::{BillingPeriod, Epoch},
        CheckedMut, Signatory,
    },
    governance_interface::{events::BillingPeriodOpened, Config, GovernanceError, Operator},
};

/// Accounts of open_billing_period.
#[derive(Accounts)]
pub struct OpenBillingPeriod {
    /// The operator.
    pub operator: Signatory<Operator>,
    /// The Config.
    #[account(unsafe(dup))]
    pub config: CheckedMut<Config>,
}

impl OpenBillingPeriod {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = &mut self.config;
        config.require_operator(&self.operator)?;
        if now()? < config.billing_period_end() {
            return Err(GovernanceError::BillingPeriodNotOver.into());
        }
        // The new period begins where the old one ended, however late it is opened: bills do not depend on who was on duty.
        config.billing_period = BillingPeriod(config.billing_period.0.wrapping_add(1));
        config.previous_period_start = config.billing_period_start;
        config.billing_period_start = config.billing_period_end;
        let length = config.parameters(config.billing_period_start).billing_period_epochs;
        config.billing_period_end = Epoch(config.billing_period_start.0.saturating_add(length));
        log(&BillingPeriodOpened { period: config.billing_period, first_epoch: config.billing_period_start });
        Ok(())
    }
}
