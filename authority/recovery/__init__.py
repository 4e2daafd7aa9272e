"""The way back after a loss: a store that is older than its chain, and a chain that went back."""
