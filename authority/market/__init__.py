"""The market's side of the authority: the auction's rule as a reference, and standing orders."""
