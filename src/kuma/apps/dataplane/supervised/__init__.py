"""Envoy beside the agent: found, started, kept running, listened to.

Also the child processes of the agent in general.
"""
