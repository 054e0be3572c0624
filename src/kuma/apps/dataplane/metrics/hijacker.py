"""Answers scrapes that come in through Envoy: Prometheus cannot reach what listens on a Unix socket, Envoy can.

`/meshmetric` is answered as a MeshMetric says; any other path as the Prometheus backend of the Mesh says, with what
applications answer passed on as it is. Source: Kuma's metrics hijacker.
"""

import asyncio
import contextlib
import os
from urllib.parse import parse_qsl, urlencode

from kuma.apps.dataplane.metrics.scraping import PASSED_HEADERS, Scraped, Target, seconds_for
from kuma.apps.dataplane.metrics.source import Source
from kuma.apps.dataplane.wire import http_server
from kuma.apps.dataplane.wire.http_server import Request, Response

_GZIP_FROM = 4096
"""Bytes from which compression pays."""


class Hijacker:
    """The server. `aggregate`: applications that the Mesh's Prometheus backend names."""

    def __init__(self, source: Source, aggregate: tuple[Target, ...]) -> None:
        self._source = source
        self._aggregate = aggregate

    async def serve(self, path: str) -> None:
        """Answers on a Unix socket at `path`, which only our user may open, until it is cancelled."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # left by an agent that was killed
        server = await asyncio.start_unix_server(self._answer, path, limit=http_server.HEAD_LIMIT)
        try:
            os.chmod(path, 0o600)
            async with server:
                await server.serve_forever()
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await http_server.answer(reader, writer, self._respond)

    async def _respond(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", {})
        if request.path.startswith("/meshmetric"):
            return await self._respond_as_policy_says(request)
        return await self._respond_as_mesh_says(request)

    async def _respond_as_policy_says(self, request: Request) -> Response:
        if not self._source.is_configured:
            return Response(503, b"no MeshMetric applies to this proxy\n", {"content-type": "text/plain"})
        from kuma.apps.dataplane.metrics import assembly, combining

        texts = await self._source.scrape(_passed(request), seconds_for(request.headers))
        body = await asyncio.to_thread(assembly.as_text, texts)
        return await _encoded(request, body, combining.TEXT)

    async def _respond_as_mesh_says(self, request: Request) -> Response:
        # Queries are Envoy's alone; a name twice in them is meant.
        asked = [*parse_qsl(request.query, keep_blank_values=True), ("format", "prometheus"), ("text_readouts", "")]
        envoy, others = await self._source.scraper.scrape(
            urlencode(asked), self._aggregate, _passed(request), seconds_for(request.headers)
        )
        body, content_type = await asyncio.to_thread(_merged, envoy, others, request.headers.get("accept", ""))
        return await _encoded(request, body, content_type)


def _merged(envoy: Scraped | None, others: list[Scraped], accepted: str) -> tuple[bytes, str]:
    """The whole exposition and its format."""
    from kuma.apps.dataplane.metrics import combining, exposition, merging

    bodies = [each.body for each in others]
    if envoy is not None:
        families = exposition.parse(envoy.body.decode(errors="replace"))
        merging.merge_clusters(families)
        bodies.append(exposition.render(families.values()).encode())
    content_type = combining.content_type_of([each.content_type for each in others], accepted)
    return combining.concatenate(bodies, content_type), content_type


def _passed(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}


async def _encoded(request: Request, body: bytes, content_type: str) -> Response:
    headers = {"content-type": content_type}
    if len(body) >= _GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        import zlib

        squeezer = zlib.compressobj(1, wbits=31)
        body = await asyncio.to_thread(lambda: squeezer.compress(body) + squeezer.flush())
        headers["content-encoding"] = "gzip"
    return Response(200, body, headers)
