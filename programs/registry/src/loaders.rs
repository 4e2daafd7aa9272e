//! Checks that several instructions share.

use {anchor_lang::prelude::*, campus_common::Signatory, governance_interface::Config};

/// The Config, and the operator's signature.
#[inline(always)]
pub fn config_by_operator<'a>(config: &UncheckedAccount, operator: &Signatory) -> Result<&'a Config> {
    let config = Config::load(config.account())?;
    config.require_operator(operator.account())?;
    Ok(config)
}
