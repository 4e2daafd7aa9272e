"""What a gateway and the authority agree on: readings, receipts, meter maps, rules and names. Standard library only."""
