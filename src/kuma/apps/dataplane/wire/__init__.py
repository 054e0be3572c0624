"""HTTP and gRPC as far as the agent needs them, small enough to need no library of either."""
