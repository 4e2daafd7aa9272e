//! Checks that several instructions share.

use {
    anchor_lang::prelude::*,
    campus_common::Signatory,
    governance_interface::Config,
    registry_interface::{Meter, MeterRole, RegistryError, Source, Status},
};

/// The Config, and the operator's signature.
#[inline(always)]
pub fn config_by_operator<'a>(config: &UncheckedAccount, operator: &Signatory) -> Result<&'a Config> {
    let config = Config::load(config.account())?;
    config.require_operator(operator.account())?;
    Ok(config)
}

/// The status that follows `current`: another one, and nothing follows closed.
pub fn next_status(current: u8, next: u8) -> Result<Status> {
    let Some(status) = Status::from_code(next) else {
        return Err(RegistryError::UnknownStatus.into());
    };
    if current == Status::Closed as u8 {
        return Err(RegistryError::StatusClosed.into());
    }
    if current == next {
        return Err(RegistryError::StatusUnchanged.into());
    }
    Ok(status)
}

/// Refuse to change a meter that is closed.
pub fn require_not_closed(meter: &Meter) -> Result<()> {
    if meter.status == Status::Closed as u8 {
        return Err(RegistryError::StatusClosed.into());
    }
    Ok(())
}

/// A meter's role and source.
pub fn kinds_of(meter: &Meter) -> Result<(MeterRole, Source)> {
    match (MeterRole::from_code(meter.role), Source::from_code(meter.source)) {
        (Some(role), Some(source)) => Ok((role, source)),
        _ => Err(RegistryError::MeterInvariant.into()),
    }
}

/// Have the oracle take a new baseline with the meter's next reading.
pub fn raise_generation(meter: &mut Meter) -> Result<()> {
    meter.generation = meter.generation.checked_add(1).ok_or(RegistryError::MeterInvariant)?;
    Ok(())
}
