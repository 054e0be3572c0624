"""What makes a resource of a core kind valid: the violations that users see, collected, in Kuma's order."""
