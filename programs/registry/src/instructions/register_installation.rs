//! Register an installation.

use {
    anchor_lang::prelude::*,
    campus_common::{
        log,
        units::{UnixTime, WattHours, Watts},
        CampusAccount, Checked, CheckedMut, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION,
    },
    governance_interface::{Config, Operator, Pause},
    registry_interface::{
        events::InstallationRegistered, Installation, Registry, RegistryError, StoredInstallationKind, INSTALLATION_SEED,
    },
};

/// An installation to register.
pub struct NewInstallation {
    /// Its number, not used before.
    pub n: u32,
    /// 0 load, 1 solar, 2 wind, 3 hydro, 4 other renewable, 5 storage, 6 grid, 7 mixed.
    pub kind: u8,
    /// Name of the building, UTF-8, zero-padded.
    pub building: [u8; 32],
    /// Greatest power through any one of its meters, W.
    pub nameplate: Watts,
    /// Usable storage, Wh: storage and mixed installations only.
    pub storage: WattHours,
    /// Since when it is in operation.
    pub since: UnixTime,
}

/// Accounts of register_installation.
#[derive(Accounts)]
pub struct RegisterInstallation {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Registry.
    #[account(unsafe(dup))]
    pub registry: CheckedMut<Registry>,
    /// The Installation to make, at [installation, n as u32 little-endian].
    #[account(unsafe(dup))]
    pub installation: Fresh<Installation>,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: Foreign,
}

/// UTF-8, not empty, and nothing but zeros after the first.
fn is_padded_name(name: &[u8; 32]) -> bool {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    length > 0 && name[length..].iter().all(|byte| *byte == 0) && core::str::from_utf8(&name[..length]).is_ok()
}

impl RegisterInstallation {
    pub(crate) fn execute(&mut self, args: NewInstallation) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        if !is_padded_name(&args.building) {
            return Err(RegistryError::BadBuildingName.into());
        }
        let (mut installation, bump) = self.installation.make(
            self.operator.account(),
            &[INSTALLATION_SEED, &args.n.to_le_bytes()],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
        installation.version = VERSION;
        installation.bump = bump;
        installation.kind = StoredInstallationKind(args.kind);
        installation.n = args.n;
        installation.building = args.building;
        installation.since = args.since;
        installation.storage = args.storage;
        installation.nameplate = args.nameplate;
        self.registry.installations += 1;
        log(&InstallationRegistered {
            storage: args.storage,
            nameplate: args.nameplate,
            n: args.n,
            kind: installation.kind,
            padding: [0; 7],
        });
        installation.invariant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(name: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..name.len()].copy_from_slice(name);
        bytes
    }

    #[test]
    fn building_names_are_utf8_padded_with_zeros() {
        assert!(is_padded_name(&padded(b"Dormitory A")));
        assert!(is_padded_name(&[b'x'; 32]));
        assert!(!is_padded_name(&padded(b"")));
        assert!(!is_padded_name(&padded(b"A\0B")));
        assert!(!is_padded_name(&padded(&[0xff, 0xfe])));
    }
}
