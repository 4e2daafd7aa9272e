//! Close the open billing period at its end and open the next.

use {
    anchor_lang::prelude::*,
    campus_common::{
        log, now,
        units::{BillingPeriod, Epoch},
        Signatory,
    },
    governance_interface::{events::BillingPeriodOpened, Config, GovernanceError, CONFIG_ADDRESS},
};

/// Accounts of open_billing_period.
#[derive(Accounts)]
pub struct OpenBillingPeriod {
    /// The operator.
    pub operator: Signatory,
    /// The Config.
    #[account(mut, address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
}

impl OpenBillingPeriod {
    pub(crate) fn execute(&mut self) -> Result<()> {
        let config = Config::load_mut(self.config.account())?;
        config.require_operator(self.operator.account())?;
        if now()? < config.billing_period_end() {
            return Err(GovernanceError::BillingPeriodNotOver.into());
        }
        // The new period begins where the old one ended, however late it is opened: bills do not depend on who was on duty.
        config.billing_period = BillingPeriod(config.billing_period.0.wrapping_add(1));
        config.billing_period_start = config.billing_period_end;
        let length = config.parameters(config.billing_period_start).billing_period_epochs;
        config.billing_period_end = Epoch(config.billing_period_start.0.saturating_add(length));
        log(&BillingPeriodOpened { period: config.billing_period, first_epoch: config.billing_period_start });
        config.invariant()
    }
}
