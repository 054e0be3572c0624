"""Kuma, a universal service mesh: control plane, data plane agent and command line.

The packages below are floors; a higher floor imports lower ones only (ARCHITECTURE.md draws them).
"""

VERSION = "2.14.3"
"""The Kuma release whose behaviour, names and wire formats this build speaks."""
