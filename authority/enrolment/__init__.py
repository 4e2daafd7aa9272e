"""Who and what belongs to the campus: the plan, members' wallets, claims, and the approval of gateways."""
