//! Refusals of the energy token program: 6200 to 6299.

campus_common::refusals! {
    /// Why the energy token program refused.
    EnergyTokenError from 6200 {
        /// 6200
        #[msg("The mints exist already")]
        AlreadyInitialized,
        /// 6201
        #[msg("This is not the energy mint: pass the account at seeds [energy_mint]")]
        WrongEnergyMint,
        /// 6202
        #[msg("This is not the credit mint: pass the account at seeds [credit_mint]")]
        WrongCreditMint,
        /// 6203
        #[msg("This is not the mint authority: pass the address at seeds [mint_authority]")]
        WrongMintAuthority,
        /// 6204
        #[msg("Only the oracle's address may mint energy: settle a surplus with oracle.settle_surplus")]
        NotTheOracle,
        /// 6205
        #[msg("This is not the user's energy account as the registry holds it")]
        WrongEnergyAccount,
        /// 6206
        #[msg("This is not the user's credit account as the registry holds it")]
        WrongCreditAccount,
        /// 6207
        #[msg("The amount is zero")]
        ZeroAmount,
        /// 6208
        #[msg("This is not the SPL Token program")]
        WrongTokenProgram,
        /// 6209
        #[msg("This is not the member's Retirement: pass the account at seeds [retired, wallet]")]
        WrongRetirement,
        /// 6210
        #[msg("The Retirement would become inconsistent")]
        RetirementInvariant,
        /// 6211
        #[msg("The reason is unknown: use 0 consumption, 1 feed-in")]
        UnknownReason,
        /// 6212
        #[msg("More than the withdrawals of that billing period less what is retired against them already")]
        ExceedsWithdrawals,
        /// 6213
        #[msg("That billing period is closed to retirement: it stays open for 8 epochs after its end")]
        PeriodClosed,
        /// 6214
        #[msg("This is not the member's EnergyAccount of the oracle: pass the account at seeds [energy, wallet]")]
        WrongOracleAccount,
        /// 6215
        #[msg("This is not the system program")]
        WrongSystemProgram,
        /// 6216
        #[msg("The payer must sign and be writable: it pays the rent of a first Retirement")]
        PayerMustSign,
        /// 6217
        #[msg("The feed-in is worth less than one micro-credit: retire more at once")]
        TooSmall,
        /// 6218
        #[msg("The oracle's address must sign: only the oracle program can call mint_energy")]
        OracleMustSign,
        /// 6219
        #[msg("More than 4,294,967,295 Wh at once: retire in parts")]
        TooMuchAtOnce,
        /// 6220
        #[msg("This is not the market: pass the account at seeds [market] of the trading program")]
        WrongMarket,
        /// 6221
        #[msg("This is not the trading program")]
        WrongTradingProgram,
        /// 6222
        #[msg("This is not the market's vault: pass the accounts at seeds [energy_vault] and [credit_vault] of the trading program")]
        WrongVault,
        /// 6223
        #[msg("These are not the market's seats: pass the account at seeds [seats] of the trading program")]
        WrongSeats,
        /// 6224
        #[msg("The source is unknown: use 0 token account, 1 seat")]
        UnknownSource,
        /// 6225
        #[msg("A delegate retires out of the member's seat alone: deposit the energy there, or have the wallet sign")]
        DelegateRetiresFromSeat,
        /// 6226
        #[msg("More than the member's own surplus: what its meters had minted, less what it has fed in already")]
        ExceedsOwnSurplus,
        /// 6227
        #[msg("The member's energy account cannot take it, being closed, frozen or no longer the member's: mint to its seat")]
        UnusableEnergyAccount,
        /// 6228
        #[msg("The member's energy account can take it: mint to that")]
        UsableEnergyAccount,
    }
}
