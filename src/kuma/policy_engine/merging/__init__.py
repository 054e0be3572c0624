"""Confs of several policies into one: for destinations, for inbounds, for sets of tags.

`rules` are the values that come out.
"""
