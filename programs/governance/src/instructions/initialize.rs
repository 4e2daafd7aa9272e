//! Make the Config, once, by the upgrade authority.

use {
    anchor_lang::{address_eq, prelude::*},
    campus_common::{
        log, now,
        units::{BillingPeriod, Epoch, Seconds},
        CampusAccount, Capacity, Foreign, Fresh, Signatory, SYSTEM_PROGRAM, VERSION,
    },
    governance_interface::{events::Initialized, Authority, Config, GovernanceError, Parameters, CONFIG_SEED},
};

/// The upgradeable loader.
const UPGRADEABLE_LOADER: Address = Address::from_str_const("BPFLoaderUpgradeab1e11111111111111111111111");
/// Where it keeps what it knows of this program.
pub const PROGRAM_DATA: Address = Address::from_str_const("sj7faKF44xDrCVk1a2aKSbYRjjQ9FcBhxZm1LKST2GW");

/// Signs as whoever pays the rent.
pub struct Payer;

impl Capacity for Payer {
    #[inline(always)]
    fn missing() -> Error {
        GovernanceError::PayerMustSign.into()
    }
}

/// Arguments of initialize.
#[derive(Clone, Copy, AnchorSerialize, AnchorDeserialize, IdlType)]
pub struct InitializeArgs {
    /// Eight random bytes that name the deployment for ever.
    pub network_id: [u8; 8],
    /// Length of an epoch in seconds, for ever: at least 10.
    pub epoch_seconds: Seconds,
    /// Who signs daily business.
    pub operator: Address,
    /// The first parameters.
    pub parameters: Parameters,
}

/// Accounts of initialize.
#[derive(Accounts)]
pub struct Initialize {
    /// Pays the rent.
    #[account(unsafe(dup))]
    pub payer: Signatory<Payer>,
    /// The upgrade authority of the governance program; becomes the Config's authority.
    pub authority: Signatory<Authority>,
    /// The Config to make.
    #[account(unsafe(dup))]
    pub config: Fresh<Config>,
    /// The governance program's ProgramData account.
    #[account(address = PROGRAM_DATA @ GovernanceError::WrongProgramData)]
    pub program_data: Foreign,
    /// The system program.
    #[account(address = SYSTEM_PROGRAM @ GovernanceError::WrongProgram)]
    pub system_program: Foreign,
}

/// The upgrade authority that a ProgramData account names: u32 3, u64 slot, u8 some, 32 bytes key.
fn upgrade_authority(program_data: &AccountView) -> Result<Address> {
    if !program_data.owned_by(&UPGRADEABLE_LOADER) {
        return Err(GovernanceError::WrongProgramData.into());
    }
    let data = program_data.try_borrow()?;
    if data.len() < 45 || data[..4] != [3, 0, 0, 0] {
        return Err(GovernanceError::WrongProgramData.into());
    }
    if data[12] != 1 {
        return Err(GovernanceError::NoUpgradeAuthority.into());
    }
    let mut key = [0; 32];
    key.copy_from_slice(&data[13..45]);
    Ok(Address::new_from_array(key))
}

impl Initialize {
    pub(crate) fn execute(&mut self, args: InitializeArgs) -> Result<()> {
        let accounts = self;
        let authority = upgrade_authority(accounts.program_data.account())?;
        if !address_eq(&authority, accounts.authority.address()) {
            return Err(GovernanceError::NotUpgradeAuthority.into());
        }
        if args.operator == Address::default() {
            return Err(GovernanceError::ZeroKey.into());
        }
        if args.epoch_seconds.0 == 0 {
            return Err(GovernanceError::EpochLengthOutOfBounds.into());
        }
        let (mut config, bump) = accounts.config.make(
            accounts.payer.account(),
            &[CONFIG_SEED],
            (GovernanceError::WrongConfig, GovernanceError::AlreadyInitialized),
        )?;
        config.version = VERSION;
        config.bump = bump;
        config.network_id = args.network_id;
        config.epoch_seconds = args.epoch_seconds;
        config.authority = authority;
        config.operator = args.operator;
        config.parameters = args.parameters;
        config.staged_from = Epoch(0);
        config.billing_period = BillingPeriod(0);
        config.first_epoch = now()?.epoch(args.epoch_seconds);
        config.previous_period_start = config.first_epoch;
        config.billing_period_start = config.first_epoch;
        config.billing_period_end = Epoch(config.first_epoch.0.saturating_add(args.parameters.billing_period_epochs));
        log(&Initialized {
            network_id: config.network_id,
            epoch_seconds: config.epoch_seconds,
            first_epoch: config.first_epoch,
            authority: config.authority,
            operator: config.operator,
            parameters: config.parameters,
        });
        config.invariant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_data_is_where_the_loader_keeps_it() {
        let seeds: [&[u8]; 1] = [governance_interface::ID.as_ref()];
        assert_eq!(Address::find_program_address(&seeds, &UPGRADEABLE_LOADER).0, PROGRAM_DATA);
    }
}
