//! Refusals of the oracle: 6300 to 6399.

campus_common::refusals! {
    /// Why the oracle, or a program that reads its accounts, refused.
    OracleError from 6300 {
        /// 6300
        #[msg("This is not the oracle's own address: pass the account at seeds [oracle]")]
        WrongOracle,
        /// 6301
        #[msg("The Oracle account does not exist yet: it is made by the first open_meter")]
        OracleNotOpen,
        /// 6302
        #[msg("The Oracle account would become inconsistent")]
        OracleInvariant,
        /// 6303
        #[msg("This account is not a MeterState of the oracle, or not writable: run open_meter and pass the one at seeds [state, meter_id]")]
        NotAMeterState,
        /// 6304
        #[msg("The MeterState would become inconsistent")]
        MeterStateInvariant,
        /// 6305
        #[msg("This account is not an EnergyAccount of the oracle, or not writable: pass the one at seeds [energy, wallet]")]
        NotAnEnergyAccount,
        /// 6306
        #[msg("The EnergyAccount would become inconsistent: more credited than measured")]
        EnergyAccountInvariant,
        /// 6307
        #[msg("The checkpoint would be inconsistent: more tokens than were minted")]
        CheckpointInvariant,
        /// 6308
        #[msg("This is not the address at the instruction's seeds")]
        WrongAddress,
        /// 6309
        #[msg("This account is open already")]
        AlreadyOpen,
        /// 6310
        #[msg("This is not the Instructions sysvar")]
        WrongInstructionsSysvar,
        /// 6311
        #[msg("submit_readings must be called by the transaction itself, not by a program")]
        ThroughCpi,
        /// 6312
        #[msg("No instruction stands before this one: put the Ed25519 instruction just before it")]
        SignaturesMissing,
        /// 6313
        #[msg("The instruction just before is not the Ed25519 precompile's")]
        NotEd25519Program,
        /// 6314
        #[msg("The Ed25519 instruction verifies no signature")]
        NoSignatures,
        /// 6315
        #[msg("The number of signatures differs from the number of readings: pass a Meter and a MeterState for each")]
        SignatureCount,
        /// 6316
        #[msg("The Ed25519 instruction's length is not that of one table of offsets and its frames")]
        SignatureTable,
        /// 6317
        #[msg("A signature is taken from another instruction: its index must be 0xFFFF")]
        SignatureInstructionIndex,
        /// 6318
        #[msg("A public key is taken from another instruction: its index must be 0xFFFF")]
        KeyInstructionIndex,
        /// 6319
        #[msg("A message is taken from another instruction: its index must be 0xFFFF")]
        MessageInstructionIndex,
        /// 6320
        #[msg("A message's offset is not that of its frame: record | key | signature, in the order of the readings")]
        MessageOffset,
        /// 6321
        #[msg("A message is not 96 bytes long")]
        MessageSize,
        /// 6322
        #[msg("A public key's offset is not that of its frame")]
        KeyOffset,
        /// 6323
        #[msg("A signature's offset is not that of its frame")]
        SignatureOffset,
        /// 6324
        #[msg("The record is signed by another key than the Meter's")]
        WrongKey,
        /// 6325
        #[msg("The MeterState belongs to another meter")]
        StateOfAnotherMeter,
        /// 6326
        #[msg("The meter is suspended or closed: the operator activates it with set_meter_status")]
        MeterNotActive,
        /// 6327
        #[msg("The record does not start with AMR1")]
        RecordMagic,
        /// 6328
        #[msg("The record was signed for another network")]
        RecordNetwork,
        /// 6329
        #[msg("The record's sequence does not rise")]
        SequenceNotRising,
        /// 6330
        #[msg("The record's sequence lies below the key's first")]
        SequenceBelowFirst,
        /// 6331
        #[msg("The record's previous hash is not that of the last accepted record: the chain forks here")]
        PreviousHash,
        /// 6332
        #[msg("The record's interval end does not rise")]
        IntervalNotRising,
        /// 6333
        #[msg("The record's interval end is not on an epoch boundary")]
        IntervalNotAligned,
        /// 6334
        #[msg("The record's interval end lies in the future")]
        IntervalInFuture,
        /// 6335
        #[msg("A register has fallen: a reset or exchange needs rebase_meter")]
        RegisterDecreased,
        /// 6336
        #[msg("A register outside the meter's role has moved")]
        RegisterNotPermitted,
        /// 6337
        #[msg("A register rose by more than the installation's nameplate allows in that time")]
        ExceedsNameplate,
        /// 6338
        #[msg("Storage gave or took more than it can hold")]
        ExceedsStorage,
        /// 6339
        #[msg("The record's source is not the Meter's")]
        SourceMismatch,
        /// 6340
        #[msg("The record has flags that this version does not know")]
        UnknownFlags,
        /// 6341
        #[msg("The record's register epoch is neither the last nor the next: readings are missing, or it needs rebase_meter")]
        RegisterEpoch,
        /// 6342
        #[msg("The record says that the registers were reset: submit it with rebase_meter")]
        NeedsRebase,
        /// 6343
        #[msg("This record does not say that the registers were reset: submit it with submit_readings")]
        NotARebase,
        /// 6344
        #[msg("The Meter belongs to another user")]
        MeterOfAnotherUser,
        /// 6345
        #[msg("A settling meter of the user is missing or named twice: pass Meter and MeterState of each once")]
        MeterSetIncomplete,
        /// 6346
        #[msg("The user's meters do not form a set that settles: a building meter, or load meters or a grid meter with the others")]
        MeterSetNotSettleable,
        /// 6347
        #[msg("A settling meter's last reading is not at that boundary")]
        NotAtBoundary,
        /// 6348
        #[msg("That boundary is settled already, or lies before the last settled one")]
        BoundaryNotRising,
        /// 6349
        #[msg("A settling meter has no reading yet: submit its first one")]
        NoReading,
        /// 6350
        #[msg("Accounts come in pairs: Meter, MeterState")]
        AccountsNotPaired,
        /// 6351
        #[msg("The User and the EnergyAccount are not of the same wallet")]
        WalletMismatch,
        /// 6352
        #[msg("The span ends after the open billing period: open the next one with governance.open_billing_period")]
        BillingPeriodNotOpen,
        /// 6353
        #[msg("The epoch has not ended yet")]
        EpochNotOver,
        /// 6354
        #[msg("Checkpoints follow one another: this is not the epoch after the last one's")]
        CheckpointOutOfOrder,
        /// 6355
        #[msg("The audit log cannot shrink: log_size is below the last checkpoint's")]
        LogShrank,
        /// 6356
        #[msg("This is not the energy mint or the credit mint")]
        WrongMint,
        /// 6357
        #[msg("This is not the program that the instruction calls")]
        WrongProgram,
        /// 6358
        #[msg("The settled energies do not fit their registers")]
        EnergyOverflow,
        /// 6359
        #[msg("The epoch's book is not final: clear or refund it, then checkpoint the epoch")]
        BookUnfinished,
        /// 6360
        #[msg("book_hash is not the SHA-256 of the epoch's final book: pass that, or zeros where the epoch has no book")]
        WrongBookHash,
        /// 6361
        #[msg("The instruction has this account in another place already: pass each account once")]
        GivenTwice,
        /// 6362
        #[msg("The record's sequence steps further than the epochs since the last record allow: replace the meter's key")]
        SequenceTooFar,
        /// 6363
        #[msg("The meter takes part: settle it with its user's other meters by settle_surplus")]
        MeterIsActive,
        /// 6364
        #[msg("A submeter is never settled")]
        MeterNotSettling,
    }
}
