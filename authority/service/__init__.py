"""Running the authority: the home's creation, leases, and the supervisor of its processes."""
