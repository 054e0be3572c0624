"""What the control plane was told: `tree` is the whole of it, the other files are its branches and how they are read."""
