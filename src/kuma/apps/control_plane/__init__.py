"""`kuma-cp`: the control plane as a program.

`settings` is what it was told, `logging` how it speaks, `wiring` the one place that knows every part, `main` the command.
"""
