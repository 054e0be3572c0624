"""Floor 1: what a resource is.

A `Kind` is declared once and everything else (REST routes, CLI, storage, sync, docs) asks the `Catalog`.
Specs are frozen msgspec structs; rules that users see as violations are collected by the kind's `validate`.
"""
