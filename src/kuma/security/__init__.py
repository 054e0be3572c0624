"""Floor 6: certificates, signing keys, tokens and who may do what."""
