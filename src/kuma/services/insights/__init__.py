"""What the control plane learnt about proxies and services, as resources that users read.

Counts and states are computed by pure functions; two loops write them.
"""
