"""The kinds that are not policies, one file each, with their validators."""
