"""Floor 8: the gRPC services that Envoy calls on the data plane port.

ADS and SDS, in both variants, run the state machines of `discovery`; HDS hands out probes and takes in their results.
`build` maps gRPC paths to handlers; they ask the rest of the control plane only for what `Deps` lists.
"""

from collections.abc import Mapping

from kuma.servers.xds import ads, hds
from kuma.servers.xds.deps import Deps
from kuma.transport import stream

__all__ = ["Deps", "build"]


def build(deps: Deps) -> Mapping[str, stream.Handler]:
    """The handlers, by `/package.Service/Method`."""
    return {**ads.handlers(deps), **(hds.handlers(deps) if deps.health is not None else {})}
