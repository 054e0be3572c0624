"""Shares of requests, as Envoy counts them."""

from decimal import Decimal

from kuma.envoy import api

_PARTS = {"HUNDRED": 1, "TEN_THOUSAND": 100, "MILLION": 10_000}
"""How many parts one percent has, by denominator of Envoy's `FractionalPercent`."""


def fractional(percent: Decimal) -> api.Message:
    """A percentage from 0 to 100 over the smallest denominator that holds it; beyond four decimals it is cut off."""
    whole = [name for name, parts in _PARTS.items() if percent * parts == int(percent * parts)]
    name = whole[0] if whole else "MILLION"
    denominator = api.FractionalPercent.DenominatorType.Value(name)
    return api.FractionalPercent(numerator=int(percent * _PARTS[name]), denominator=denominator)
