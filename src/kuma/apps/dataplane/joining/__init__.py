"""What a proxy is and by what it proves it, gathered before the first word to the control plane.

The Dataplane it brings along, the machine it runs on, the token, the CA.
"""
