"""The committed OpenAPI document: what it should be, and (run as a program) writing it."""

import asyncio
from pathlib import Path

from tests.kit import api as kit

COMMITTED = Path(__file__).parents[2] / "docs/openapi.json"


async def served() -> bytes:
    """The document that a control plane with every kind serves."""
    return (await kit.build().call("GET", "/openapi.json")).body


if __name__ == "__main__":
    COMMITTED.write_bytes(asyncio.run(served()))
