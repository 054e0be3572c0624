"""A zone egress as a process: kuma-dp with its Envoy, on an address of its own, and servers outside of every mesh."""

import json
import re
from typing import Any

from tests.kit import network, planes, sidecars


def zone_token(plane: planes.Plane, **claims: Any) -> str:
    """A zone token."""
    answer = plane.call("POST", "/tokens/zone", {"validFor": "1h", **claims})
    assert answer.status == 200, answer.text
    return answer.text


class Egress(sidecars.Sidecar):
    """A zone egress. `dataplane` is its ZoneEgress."""

    def __init__(self, plane: planes.Plane, name: str, *, brings_itself: bool = True, **settings: str) -> None:
        """`settings`: environment without `KUMA_`."""
        super().__init__(plane, "", name, brings_itself=brings_itself, **settings)
        self.port = network.free_port(self.address)
        networking = {"address": self.address, "port": self.port, "admin": {"port": self.admin_port}}
        self.dataplane: dict[str, Any] = {"type": "ZoneEgress", "name": name, "networking": networking}

    def _new_token(self) -> str:
        return zone_token(self.plane, zone="default", scope=["egress"])

    def _identity(self) -> list[str]:
        own = ["--dataplane", json.dumps(self.dataplane)] if self.brings_itself else ["--name", self.name]
        return ["--proxy-type", "egress", *own]

    def insight(self) -> dict[str, Any]:
        """Its ZoneEgressInsight; AssertionError where there is none."""
        found: dict[str, Any] = self.plane.get(f"/zoneegresses/{self.name}/_overview")
        insight = found.get("zoneEgressInsight")
        assert insight, f"no insight of {self.name}"
        return dict(insight)

    @property
    def target(self) -> tuple[str, int]:
        """Where proxies of the zone dial it."""
        return self.address, self.port

    def server_names(self, part: str) -> list[str]:
        """The server names that it answers to and that contain a text."""
        asked = re.findall(r'"server_names":\s*\[\s*"([^"]+)"', self.admin("/config_dump")[1])
        return sorted({each for each in asked if part in each})

    def close(self) -> None:
        """As `end`."""
        self.end()

    def is_online(self) -> bool:
        """Whether the control plane has a connection of it."""
        return "disconnectTime" not in self.insight()["subscriptions"][-1]
