//! Roles, sources, kinds and statuses of members, installations and meters.

use campus_common::code;

code!(
    /// What a user is.
    UserRole as StoredUserRole {
        /// Buys only: no generating meter may be registered for it.
        Consumer = 0,
        /// Buys and sells.
        Prosumer = 1,
        /// A part of the university itself; buys and sells.
        Institution = 2,
    }
);

code!(
    /// Whether a user or a meter takes part.
    Status as StoredStatus {
        /// Takes part.
        Active = 1,
        /// Does not take part until the operator says so.
        Suspended = 2,
        /// Takes no part any more, for ever.
        Closed = 3,
    }
);

code!(
    /// What a meter measures, and so which registers may move and how they settle.
    MeterRole as StoredMeterRole {
        /// All four registers: the user's only settling meter.
        Building = 0,
        /// The generation register.
        Generation = 1,
        /// The charge and discharge registers.
        Storage = 2,
        /// The consumption register.
        Load = 3,
        /// The connection point: import in the consumption register, export in the generation register.
        Grid = 4,
        /// Any register; signed and shown, never settled.
        Submeter = 5,
    }
);

impl MeterRole {
    /// Registers that may move: bits 0 to 3 for generation, consumption, charge, discharge.
    #[inline(always)]
    pub const fn registers(self) -> u8 {
        match self {
            Self::Building | Self::Submeter => 0b1111,
            Self::Generation => 0b0001,
            Self::Storage => 0b1100,
            Self::Load => 0b0010,
            Self::Grid => 0b0011,
        }
    }

    /// Whether settlement counts this meter.
    #[inline(always)]
    pub const fn settles(self) -> bool {
        !matches!(self, Self::Submeter)
    }
}

code!(
    /// A renewable source, as in the signed reading.
    Source as StoredSource {
        /// Generates nothing renewable.
        None = 0,
        /// Photovoltaics.
        Solar = 1,
        /// Wind turbine.
        Wind = 2,
        /// Hydropower.
        Hydro = 3,
        /// Another renewable source.
        Other = 4,
    }
);

code!(
    /// What stands at an installation.
    InstallationKind as StoredInstallationKind {
        /// Loads only.
        Load = 0,
        /// Photovoltaics.
        Solar = 1,
        /// Wind turbine.
        Wind = 2,
        /// Hydropower.
        Hydro = 3,
        /// Another renewable source.
        Other = 4,
        /// Battery storage.
        Storage = 5,
        /// A connection point to the grid.
        Grid = 6,
        /// Several of these together.
        Mixed = 7,
    }
);

impl InstallationKind {
    /// Whether a meter with that role and source may stand at such an installation.
    pub const fn admits(self, role: MeterRole, source: Source) -> bool {
        match (role, source) {
            // A generation meter says what it generates from, and the installation agrees.
            (MeterRole::Generation, Source::None) => false,
            (MeterRole::Generation, source) => matches!(self, Self::Mixed) || self as u8 == source as u8,
            (MeterRole::Building, Source::None) => true,
            (MeterRole::Building, source) => matches!(self, Self::Mixed) || self as u8 == source as u8,
            (MeterRole::Submeter, _) => true,
            (_, Source::None) => match role {
                MeterRole::Storage => matches!(self, Self::Storage | Self::Mixed),
                MeterRole::Grid => matches!(self, Self::Grid | Self::Mixed),
                _ => true,
            },
            // Storage, load and grid meters generate nothing.
            _ => false,
        }
    }
}
