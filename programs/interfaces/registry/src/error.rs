//! Refusals of the registry, and of its accounts' loaders in every program: 6100 to 6199.

campus_common::refusals! {
    /// Why the registry, or a program that reads its accounts, refused.
    RegistryError from 6100 {
        /// 6100
        #[msg("This is not the Registry: pass the account at seeds [registry]")]
        WrongRegistry,
        /// 6101
        #[msg("The registry is not initialized: run registry.initialize first")]
        RegistryNotInitialized,
        /// 6102
        #[msg("The registry is initialized already")]
        AlreadyInitialized,
        /// 6103
        #[msg("The Registry's counters would become inconsistent")]
        RegistryInvariant,
        /// 6104
        #[msg("The KeyUse would be inconsistent: a meter id is SHA-256 of salt and serial, not all zero")]
        KeyUseInvariant,
        /// 6105
        #[msg("This account is not a User of the registry: pass the one at seeds [user, wallet], writable where it changes")]
        NotAUser,
        /// 6106
        #[msg("This account is not an Installation of the registry: pass the one at seeds [installation, n]")]
        NotAnInstallation,
        /// 6107
        #[msg("This account is not a Meter of the registry: pass the one at seeds [meter, meter_id]")]
        NotAMeter,
        /// 6108
        #[msg("The User would become inconsistent: its meters' slots and counts disagree")]
        UserInvariant,
        /// 6109
        #[msg("The Meter would become inconsistent: role, source, status or slot")]
        MeterInvariant,
        /// 6110
        #[msg("The user is suspended or closed: the operator activates it with set_user_status")]
        UserNotActive,
        /// 6111
        #[msg("The member's wallet or its delegate must sign")]
        MemberMustSign,
        /// 6112
        #[msg("The signer is neither the member's wallet nor its delegate")]
        NotWalletOrDelegate,
        /// 6113
        #[msg("The delegation has expired: the member renews it with set_delegate")]
        DelegationExpired,
        /// 6114
        #[msg("The user role is unknown: use 0 consumer, 1 prosumer, 2 institution")]
        UnknownUserRole,
        /// 6115
        #[msg("This account already exists: a user, installation, meter or key is registered once")]
        AlreadyRegistered,
        /// 6116
        #[msg("This is not the address at the instruction's seeds")]
        WrongAddress,
        /// 6117
        #[msg("This is not the energy mint or the credit mint: run energy_token.initialize first and pass its mints")]
        WrongMint,
        /// 6118
        #[msg("This is not the wallet's associated token account for that mint")]
        WrongTokenAccount,
        /// 6119
        #[msg("This is not the program that the instruction calls: token, associated token or system program")]
        WrongProgram,
        /// 6120
        #[msg("The installation kind is unknown: use 0 load, 1 solar, 2 wind, 3 hydro, 4 other, 5 storage, 6 grid, 7 mixed")]
        UnknownInstallationKind,
        /// 6121
        #[msg("nameplate_w must lie between 1 and 100,000,000 W: give the greatest power through any one meter of the installation")]
        NameplateOutOfBounds,
        /// 6122
        #[msg("storage_wh must fit u32, and only a storage or mixed installation has storage")]
        StorageOutOfBounds,
        /// 6123
        #[msg("The building's name is empty or not UTF-8 padded with zeros")]
        BadBuildingName,
        /// 6124
        #[msg("The meter role is unknown: use 0 building, 1 generation, 2 storage, 3 load, 4 grid, 5 submeter")]
        UnknownMeterRole,
        /// 6125
        #[msg("The source is unknown: use 0 none, 1 solar, 2 wind, 3 hydro, 4 other renewable")]
        UnknownSource,
        /// 6126
        #[msg("Role, source and installation kind do not go together")]
        RoleSourceMismatch,
        /// 6127
        #[msg("A building meter settles alone: the user has other settling meters")]
        BuildingMeterStandsAlone,
        /// 6128
        #[msg("A user has either load meters or one grid meter")]
        LoadOrGridMeters,
        /// 6129
        #[msg("A consumer has no generating meters: register the user as prosumer or institution")]
        ConsumerCannotGenerate,
        /// 6130
        #[msg("The user has 24 settling meters, which is the most")]
        TooManyMeters,
        /// 6131
        #[msg("The key is not proven: put the Ed25519 instruction over AMK1 just before this one")]
        PossessionMissing,
        /// 6132
        #[msg("The instruction just before is not the Ed25519 precompile's")]
        PossessionWrongProgram,
        /// 6133
        #[msg("The proof of possession must hold exactly one signature")]
        PossessionCount,
        /// 6134
        #[msg("The proof of possession must carry its key, signature and message itself: instruction indexes 0xFFFF")]
        PossessionInstructionIndex,
        /// 6135
        #[msg("The proof of possession must lie as AMK1 | key | signature just after one table of offsets")]
        PossessionLayout,
        /// 6136
        #[msg("The signed AMK1 message is not about this network, meter, first sequence and map")]
        PossessionMessage,
        /// 6137
        #[msg("register_meter and replace_meter_key must be called by the transaction itself, not by a program")]
        PossessionThroughCpi,
        /// 6138
        #[msg("This is not the Instructions sysvar")]
        WrongInstructionsSysvar,
        /// 6139
        #[msg("The status is unknown: use 1 active, 2 suspended, 3 closed")]
        UnknownStatus,
        /// 6140
        #[msg("Closed is for ever: register anew")]
        StatusClosed,
        /// 6141
        #[msg("A delegation must end within a year and not in the past")]
        DelegationTermOutOfBounds,
        /// 6142
        #[msg("Only the member's own wallet names a delegate, with its signature")]
        NotWallet,
        /// 6143
        #[msg("The meter belongs to another user, or another installation")]
        MeterOfAnother,
        /// 6144
        #[msg("The meter has readings that are not settled: settle the user's surplus first, naming the meter")]
        NotAtSettledBoundary,
        /// 6145
        #[msg("A key's first sequence must lie between 1 and 2,147,483,647")]
        FirstSequenceOutOfBounds,
        /// 6146
        #[msg("This is not the meter's MeterState or the user's EnergyAccount of the oracle")]
        WrongOracleAccount,
        /// 6147
        #[msg("The user still has meters: close or reassign them first")]
        UserHasMeters,
        /// 6148
        #[msg("The user takes no part: its meters cannot be activated")]
        MeterOfInactiveUser,
        /// 6149
        #[msg("This key has been registered before, and a key is used once: make a new one")]
        KeyUsedBefore,
        /// 6150
        #[msg("That is the status already")]
        StatusUnchanged,
        /// 6152; 6151 was an earlier release's, and a code is given out once.
        #[msg("The instruction has this account in another place already: pass each account once")]
        GivenTwice = 52,
        /// 6153
        #[msg("The operator's own key cannot be a member's wallet: give the member another")]
        OperatorAsMember,
        /// 6154
        #[msg("No other wallet is proposed for this user, or not this one: run propose_wallet first")]
        NoWalletProposed,
        /// 6155
        #[msg("The proposed wallet takes over 96 epochs after its proposal, not sooner")]
        WalletNotDue,
        /// 6156
        #[msg("That is the user's role already")]
        RoleUnchanged,
        /// 6157
        #[msg("from_epoch must be a later epoch than the running one, and at most 35,136 ahead")]
        StagedOutOfBounds,
    }
}
