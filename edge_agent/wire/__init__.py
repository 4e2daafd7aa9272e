"""What a gateway and the authority agree on, and what both do in one way. Standard library only.

Agreed: readings, receipts, meter maps, rules of a step, names, topics, paths, claim codes, problems, canonical JSON.
One way: commands, log lines, TOML files, files that are written whole, processes.
"""
