//! Register a meter with a key whose possession is proven.

use {
    crate::possession::{Claim, Enrolment},
    anchor_lang::prelude::*,
    campus_common::{
        log, now, CampusAccount, Checked, CheckedMut, Foreign, Fresh, Signatory, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM, VERSION,
    },
    governance_interface::{Config, Operator, Pause},
    registry_interface::{
        events::MeterRegistered, Installation, KeyUse, Meter, MeterRole, Registry, RegistryError, Source, Status, User,
        METER_SEED,
    },
};

/// A meter to register.
pub struct NewMeter {
    /// SHA-256(16-byte secret salt, serial).
    pub meter_id: [u8; 32],
    /// 0 building, 1 generation, 2 storage, 3 load, 4 grid, 5 submeter.
    pub role: u8,
    /// 0 none, 1 solar, 2 wind, 3 hydro, 4 other renewable.
    pub source: u8,
    /// SHA-256 of the approved meter map.
    pub map_hash: [u8; 32],
    /// Sequence of the key's first record.
    pub first_sequence: u32,
}

/// Accounts of register_meter.
#[derive(Accounts)]
pub struct RegisterMeter {
    /// The operator, who pays the rent.
    #[account(unsafe(dup))]
    pub operator: Signatory<Operator>,
    /// Governance's Config.
    pub config: Checked<Config>,
    /// The Registry.
    #[account(unsafe(dup))]
    pub registry: CheckedMut<Registry>,
    /// The User whose meter it is.
    #[account(unsafe(dup))]
    pub user: CheckedMut<User>,
    /// The Installation where it stands.
    #[account(unsafe(dup))]
    pub installation: CheckedMut<Installation>,
    /// The Meter to make, at [meter, meter_id].
    #[account(unsafe(dup))]
    pub meter: Fresh<Meter>,
    /// The KeyUse to make, at [key, public key].
    #[account(unsafe(dup))]
    pub key_use: Fresh<KeyUse>,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ RegistryError::WrongInstructionsSysvar)]
    pub instructions: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: Foreign,
}

impl RegisterMeter {
    pub(crate) fn execute(&mut self, args: NewMeter) -> Result<()> {
        self.config.require_operator(&self.operator)?;
        self.config.require_running(Pause::REGISTRATION)?;
        let Some(role) = MeterRole::from_code(args.role) else {
            return Err(RegistryError::UnknownMeterRole.into());
        };
        let Some(source) = Source::from_code(args.source) else {
            return Err(RegistryError::UnknownSource.into());
        };
        let (registry, user, installation) = (&mut self.registry, &mut self.user, &mut self.installation);
        user.require_active()?;
        let Some(kind) = installation.kind.get() else {
            return Err(RegistryError::UnknownInstallationKind.into());
        };
        if !kind.admits(role, source) {
            return Err(RegistryError::RoleSourceMismatch.into());
        }

        let operator = self.operator.account();
        let (mut meter, bump) = self.meter.make(
            operator,
            &[METER_SEED, &args.meter_id],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
        let claim = Claim {
            network_id: &self.config.network_id,
            meter_id: &args.meter_id,
            map_hash: &args.map_hash,
            first_sequence: args.first_sequence,
        };
        let enrolment = Enrolment { operator, instructions: self.instructions.account(), key_use: &self.key_use };
        let key = enrolment.take_key(&claim, registry)?;
        meter.version = VERSION;
        meter.bump = bump;
        meter.role = role.into();
        meter.source = source.into();
        meter.status = Status::Active.into();
        meter.keys = 1;
        meter.meter_id = args.meter_id;
        meter.key = key;
        meter.user = user.member;
        meter.map_hash = args.map_hash;
        meter.first_sequence = args.first_sequence;
        meter.installation = installation.n;
        meter.follow(installation);
        meter.since = now()?;
        meter.slot = user.add_meter(role, source)?;
        installation.meters += 1;
        registry.meters += 1;
        log(&MeterRegistered {
            meter_id: args.meter_id,
            key,
            user: user.member,
            map_hash: args.map_hash,
            first_sequence: args.first_sequence,
            installation: installation.n,
            role: meter.role,
            source: meter.source,
            padding: [0; 6],
        });
        meter.invariant()
    }
}
