"""Floor 8: what agents ask over plain HTTP on the data plane port.

`/bootstrap` answers with Envoy's first configuration, `/goodbye` takes a leaving proxy out of its peers' endpoints.
`build` makes the ASGI application; it asks the rest of the control plane only for what `Deps` lists.
"""

from kuma.servers.agents.app import build
from kuma.servers.agents.deps import Deps

__all__ = ["Deps", "build"]
