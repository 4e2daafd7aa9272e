//! Refusals of the governance program, and of the Config's loader in every program: 6000 to 6099.

campus_common::refusals! {
    /// Why governance, or a program that obeys it, refused.
    GovernanceError from 6000 {
        /// 6000
        #[msg("This is not governance's Config: pass the account at seeds [config]")]
        WrongConfig,
        /// 6001
        #[msg("Governance is not initialized: run governance.initialize first")]
        ConfigNotInitialized,
        /// 6002
        #[msg("The operator must sign this instruction")]
        OperatorMustSign,
        /// 6003
        #[msg("The signer is not the operator named in the Config")]
        NotOperator,
        /// 6004
        #[msg("The authority must sign this instruction")]
        AuthorityMustSign,
        /// 6005
        #[msg("The signer is not the authority named in the Config")]
        NotAuthority,
        /// 6006
        #[msg("This activity is paused: the authority resumes it with set_paused")]
        Paused,
        /// 6007
        #[msg("This is not governance's ProgramData account: pass the one that the upgradeable loader keeps for the program")]
        WrongProgramData,
        /// 6008
        #[msg("Only the upgrade authority of the governance program may initialize it")]
        NotUpgradeAuthority,
        /// 6009
        #[msg("The governance program has no upgrade authority: it must be deployed as upgradeable to be initialized")]
        NoUpgradeAuthority,
        /// 6010
        #[msg("Governance is initialized already")]
        AlreadyInitialized,
        /// 6011
        #[msg("The Config would become inconsistent: network id, authority and operator must be set and pause bits known")]
        ConfigInvariant,
        /// 6012
        #[msg("epoch_seconds must lie between 10 and 86,400")]
        EpochLengthOutOfBounds,
        /// 6013
        #[msg("grace_seconds must not exceed an epoch")]
        GraceOutOfBounds,
        /// 6014
        #[msg("clock_skew_seconds must not exceed an epoch")]
        ClockSkewOutOfBounds,
        /// 6015
        #[msg("nameplate_tolerance_bps must not exceed 10,000")]
        ToleranceOutOfBounds,
        /// 6016
        #[msg("storage_efficiency_bps must not exceed 10,000")]
        EfficiencyOutOfBounds,
        /// 6017
        #[msg("Prices need 0 < feed_in_price <= retail_price <= 1,000,000,000")]
        PricesOutOfBounds,
        /// 6018
        #[msg("wheeling must not exceed retail_price")]
        WheelingOutOfBounds,
        /// 6019
        #[msg("fee_bps must not exceed 1,000")]
        FeeOutOfBounds,
        /// 6020
        #[msg("Order sizes need 0 < min_order_wh <= max_order_wh <= 1,000,000,000")]
        OrderSizeOutOfBounds,
        /// 6021
        #[msg("max_orders_per_member must lie between 1 and 64")]
        OrderCountOutOfBounds,
        /// 6022
        #[msg("cancel_cutoff_seconds must be less than an epoch")]
        CancelCutoffOutOfBounds,
        /// 6023
        #[msg("min_reference_volume_wh must not be zero: a price of no volume is no reference")]
        ReferenceVolumeOutOfBounds,
        /// 6024
        #[msg("billing_period_epochs must lie between 16 and 35,136")]
        BillingPeriodOutOfBounds,
        /// 6025
        #[msg("set_paused got bits without a meaning: use 0 to 127")]
        UnknownPauseBits,
        /// 6026
        #[msg("The current and the next epoch keep their parameters: stage these for the epoch after the next, or a later one")]
        StagedTooEarly,
        /// 6027
        #[msg("Parameters may be staged at most 35,136 epochs ahead")]
        StagedTooLate,
        /// 6028
        #[msg("No authority has been proposed")]
        NoPendingAuthority,
        /// 6029
        #[msg("Only the proposed authority may accept, with its signature")]
        NotPendingAuthority,
        /// 6030
        #[msg("The open billing period has not ended yet")]
        BillingPeriodNotOver,
        /// 6031
        #[msg("An authority or operator must be a real key, not all zero")]
        ZeroKey,
        /// 6032
        #[msg("The staged parameters take effect with the next epoch and cannot be replaced any more: stage these once it has begun")]
        StagedAlreadyDue,
        /// 6033
        #[msg("The open billing period is over: run open_billing_period first, for the next one's length is that in force at its start")]
        BillingPeriodOverdue,
        /// 6034
        #[msg("The instruction has governance's Config in another place already: pass it once")]
        GivenTwice,
        /// 6035
        #[msg("max_order_wh x max_orders_per_member must not exceed 67,108,863: a side's total is a u32")]
        MemberOrdersOutOfBounds,
        /// 6036
        #[msg("netting_epochs must lie between 1 and 96")]
        NettingOutOfBounds,
        /// 6037
        #[msg("The account that pays the rent must sign")]
        PayerMustSign,
        /// 6038
        #[msg("This is not the system program")]
        WrongProgram,
    }
}
