"""Floor 1: the xDS protocol as pure state machines.

`resources.py` holds what is served (bytes made once), `machine.py` what a stream knows and is owed, `sotw.py` and
`delta.py` the two variants of the protocol. No gRPC, no clock: servers feed messages in and send what comes out.
"""
