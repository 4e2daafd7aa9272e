//! Checks that several instructions share.

use {
    anchor_lang::prelude::*,
    registry_interface::{Meter, MeterRole, RegistryError, Source, Status, StoredStatus},
};

/// The status that follows `current`: another one, and nothing follows closed.
pub fn next_status(current: StoredStatus, next: u8) -> Result<Status> {
    let Some(status) = Status::from_code(next) else {
        return Err(RegistryError::UnknownStatus.into());
    };
    if current == Status::Closed {
        return Err(RegistryError::StatusClosed.into());
    }
    if current == status {
        return Err(RegistryError::StatusUnchanged.into());
    }
    Ok(status)
}

/// Refuse to change a meter that is closed.
pub fn require_not_closed(meter: &Meter) -> Result<()> {
    if meter.status == Status::Closed {
        return Err(RegistryError::StatusClosed.into());
    }
    Ok(())
}

/// A meter's role and source.
pub fn kinds_of(meter: &Meter) -> Result<(MeterRole, Source)> {
    match (meter.role.get(), meter.source.get()) {
        (Some(role), Some(source)) => Ok((role, source)),
        _ => Err(RegistryError::MeterInvariant.into()),
    }
}

/// Have the oracle take the meter's next settlement for a baseline.
pub fn raise_generation(meter: &mut Meter) -> Result<()> {
    meter.generation = meter.generation.checked_add(1).ok_or(RegistryError::MeterInvariant)?;
    Ok(())
}
