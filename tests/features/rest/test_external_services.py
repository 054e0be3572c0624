"""ExternalServices and RateLimits over REST: whichever comes second has to go with the first."""

import json
from typing import Any

import pytest

from tests.kit import api as kit

OUTER = {
    "type": "ExternalService",
    "mesh": "shop",
    "name": "outer",
    "networking": {"address": "example.com:80"},
    "tags": {"kuma.io/service": "outer", "kuma.io/protocol": "http"},
}


def limit(**destination: str) -> dict[str, Any]:
    tags = {key.replace("_", "/"): value for key, value in destination.items()}
    return {
        "type": "RateLimit",
        "mesh": "shop",
        "name": "few",
        "sources": [{"match": {"kuma.io/service": "*"}}],
        "destinations": [{"match": tags}],
        "conf": {"http": {"requests": 1, "interval": "1s"}},
    }


@pytest.mark.parametrize(
    ("destination", "goes_together"),
    [
        ({"kuma.io_service": "outer"}, True),
        ({"kuma.io_service": "outer", "version": "1"}, True),
        ({"kuma.io_service": "outer", "kuma.io_protocol": "http"}, False),
        ({"kuma.io_protocol": "*"}, False),
    ],
)
async def test_limits_of_external_services_say_a_service_and_nothing_else(
    destination: dict[str, str], goes_together: bool
) -> None:
    written = {"limits": limit(**destination), "services": OUTER}
    paths = {"limits": "/meshes/shop/rate-limits/few", "services": "/meshes/shop/external-services/outer"}
    reasons = {
        "limits": (
            "ratelimit",
            "RateLimit applied to external service only supports kuma.io/service as destination match",
        ),
        "services": (
            "externalservice",
            "ExternalService would match RateLimit 'few' which includes incompatible destination matches",
        ),
    }
    for first, second in (("limits", "services"), ("services", "limits")):
        api = kit.build()
        await api.load({"type": "Mesh", "name": "shop"})
        assert (await api.call("PUT", paths[first], written[first])).status == 201
        answer = await api.call("PUT", paths[second], written[second])
        assert answer.status == (201 if goes_together else 400)
        if not goes_together:
            (found,) = json.loads(answer.body)["invalid_parameters"]
            assert (found["field"], found["reason"]) == reasons[second]
            assert (await api.call("PUT", paths[first], written[first])).status == 200
