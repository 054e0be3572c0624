"""Floor 9: what you run. Siblings do not know each other."""
