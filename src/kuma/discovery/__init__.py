"""Floor 1: the xDS protocol as pure state machines.

`resources.py` holds what is served (bytes made once), `sotw.py` and `delta.py` what a stream knows and is owed.
No gRPC, no clock: servers feed messages in and send what comes out.
"""
