"""Floor 4: the source/destination policies, each an adapter onto the hooks of `policy_engine`."""
