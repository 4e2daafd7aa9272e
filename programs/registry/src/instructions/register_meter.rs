//! Register a meter with a key whose possession is proven.

use {
    crate::{
        loaders::config_by_operator,
        possession::{proven_key, Claim},
    },
    anchor_lang::prelude::*,
    campus_common::{create, log, now, Signatory, INSTRUCTIONS_SYSVAR, SYSTEM_PROGRAM, VERSION},
    governance_interface::{GovernanceError, Pause, CONFIG_ADDRESS},
    registry_interface::{
        events::MeterRegistered, Installation, InstallationKind, KeyUse, Meter, MeterRole, Registry, RegistryError, Source,
        Status, User, KEY_SEED, METER_SEED, REGISTRY_ADDRESS,
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
    #[account(mut)]
    pub operator: Signatory,
    /// Governance's Config.
    #[account(address = CONFIG_ADDRESS @ GovernanceError::WrongConfig)]
    pub config: UncheckedAccount,
    /// The Registry.
    #[account(mut, address = REGISTRY_ADDRESS @ RegistryError::WrongRegistry)]
    pub registry: UncheckedAccount,
    /// The User whose meter it is.
    #[account(mut)]
    pub user: UncheckedAccount,
    /// The Installation where it stands.
    #[account(mut)]
    pub installation: UncheckedAccount,
    /// The Meter to make, at [meter, meter_id].
    #[account(mut)]
    pub meter: UncheckedAccount,
    /// The KeyUse to make, at [key, public key].
    #[account(mut)]
    pub key_use: UncheckedAccount,
    /// The Instructions sysvar.
    #[account(address = INSTRUCTIONS_SYSVAR @ RegistryError::WrongInstructionsSysvar)]
    pub instructions: UncheckedAccount,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ RegistryError::WrongProgram)]
    pub system_program: UncheckedAccount,
}

impl RegisterMeter {
    pub(crate) fn execute(&mut self, args: NewMeter) -> Result<()> {
        let config = config_by_operator(&self.config, &self.operator)?;
        config.require_running(Pause::REGISTRATION)?;
        let Some(role) = MeterRole::from_code(args.role) else {
            return Err(RegistryError::UnknownMeterRole.into());
        };
        let Some(source) = Source::from_code(args.source) else {
            return Err(RegistryError::UnknownSource.into());
        };
        let claim = Claim {
            network_id: &config.network_id,
            meter_id: &args.meter_id,
            map_hash: &args.map_hash,
            first_sequence: args.first_sequence,
        };
        let key = proven_key(self.instructions.account(), &claim)?;
        let registry = Registry::load_mut(self.registry.account())?;
        let user = User::load_mut(self.user.account())?;
        user.require_active()?;
        let installation = Installation::load_mut(self.installation.account())?;
        let Some(kind) = InstallationKind::from_code(installation.kind) else {
            return Err(RegistryError::UnknownInstallationKind.into());
        };
        if !kind.admits(role, source) {
            return Err(RegistryError::RoleSourceMismatch.into());
        }

        let operator = self.operator.account();
        let (meter, bump) = create::<Meter>(
            operator,
            self.meter.account(),
            &[METER_SEED, &args.meter_id],
            (RegistryError::WrongAddress, RegistryError::AlreadyRegistered),
        )?;
        let (key_use, key_bump) = create::<KeyUse>(
            operator,
            self.key_use.account(),
            &[KEY_SEED, &key],
            (RegistryError::WrongAddress, RegistryError::KeyUsedBefore),
        )?;
        let since = now()?;
        key_use.version = VERSION;
        key_use.bump = key_bump;
        key_use.meter_id = args.meter_id;
        key_use.since = since;

        meter.version = VERSION;
        meter.bump = bump;
        meter.role = args.role;
        meter.source = args.source;
        meter.status = Status::Active as u8;
        meter.meter_id = args.meter_id;
        meter.key = key;
        meter.user = user.wallet;
        meter.map_hash = args.map_hash;
        meter.first_sequence = args.first_sequence;
        meter.installation = installation.n;
        meter.storage = installation.storage;
        meter.nameplate = installation.nameplate;
        meter.since = since;
        meter.slot = user.add_meter(role, source)?;
        installation.meters += 1;
        registry.meters += 1;
        registry.keys += 1;
        log(&MeterRegistered {
            meter_id: args.meter_id,
            key,
            user: user.wallet,
            map_hash: args.map_hash,
            first_sequence: args.first_sequence,
            installation: installation.n,
            role: args.role,
            source: args.source,
            padding: [0; 6],
        });
        key_use.invariant()?;
        meter.invariant()?;
        user.invariant()?;
        installation.invariant()?;
        registry.invariant()
    }
}
