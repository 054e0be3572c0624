"""Floor 7: use cases and the loops that keep written resources and proxies up to date."""
