"""Where metrics of this proxy come from, and what a MeshMetric currently wants of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from kuma.apps.dataplane.metrics.scraping import Scraper, Target

if TYPE_CHECKING:
    from kuma.apps.dataplane.metrics.assembly import Texts
    from kuma.apps.dataplane.metrics.config import Metrics

_QUERY = "format=prometheus&text_readouts="


class Source:
    """Scrapes what is configured. Modules that read and write metrics are imported with the first configuration.

    `address` is the proxy's own, for applications without one. `own`: texts of the agent's metrics about itself.
    """

    def __init__(self, scraper: Scraper, address: str, own: Sequence[Callable[[], str]]) -> None:
        self.scraper = scraper
        self._address = address
        self._own = own
        self._wanted: Metrics | None = None
        self._targets: tuple[Target, ...] = ()

    @property
    def is_configured(self) -> bool:
        """Whether a MeshMetric applies to this proxy."""
        return self._wanted is not None

    def configure(self, wanted: "Metrics | None") -> None:
        """Follows a MeshMetric from now on; None: none applies."""
        before = self._targets
        self._wanted = wanted
        self._targets = tuple(
            Target(each.name or "", each.address or self._address, each.port, each.path)
            for each in (wanted.applications if wanted else None) or ()
        )
        self.scraper.forget(set(before) - set(self._targets))

    async def scrape(self, headers: Mapping[str, str], seconds: float) -> "Texts":
        """What is there to assemble. `headers` go to the applications."""
        from kuma.apps.dataplane.metrics.assembly import Texts
        from kuma.apps.dataplane.metrics.config import Metrics

        wanted = self._wanted or Metrics()
        sidecar = wanted.chosen_sidecar
        query = _QUERY if sidecar.include_unused else f"{_QUERY}&usedonly="
        envoy, others = await self.scraper.scrape(query, self._targets, headers, seconds)
        return Texts(
            envoy=envoy.body.decode(errors="replace") if envoy else "",
            others=[each.body.decode(errors="replace") for each in others] + [text() for text in self._own],
            chosen=sidecar.chosen,
            labels=wanted.extra_labels or {},
        )
