"""kumactl: the command line over the control plane's REST API.

Commands are data (`grammar.Command`) loaded when they are called; the words of `get`, `delete` and `inspect` come from
the catalog of kinds. It imports no server, no store and no gRPC, so that it starts in a moment.
"""
