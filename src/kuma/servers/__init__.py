"""Floor 8: who can talk to us. Each folder is one server; siblings do not know each other."""
