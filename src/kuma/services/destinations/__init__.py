"""Writes what destinations have that nobody writes by hand: MeshServices, addresses, hostnames, statuses, Workloads.

`loop.py` follows the store and writes; `picture.py` keeps what a mesh holds and says what a change reaches; the other
files are pure rules over small values, one for each thing that is written. One control plane on a store does this.
"""
