"""From energy to money: billing periods, the members' bills, and the ledger of credits."""
