"""ADS: the aggregated discovery service, state of the world and incremental; SDS alone speaks the same way.

Each stream has one reader and one writer. The reader only fills a short inbox; the writer owns the state machine and
is the only one to send. It takes the newest snapshot whenever it is free, so a slow client costs no memory.
Source: Envoy's "xDS REST and gRPC protocol".
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from kuma.discovery import delta, framing, machine, sharing, sotw
from kuma.discovery import resources as xds
from kuma.servers.xds import deps as needs
from kuma.servers.xds import intake
from kuma.transport import stream

INBOX = 32
"""Requests of one stream that wait for the writer; more are left to flow control."""

REMEMBERED = 100_000
"""Types and names that one stream may ask for: more than any mesh has, and little enough memory."""

WORDS = 8192
"""Characters of a rejection that are kept: it is logged, stored and searched for names."""

_COUNTED = frozenset({xds.CLUSTER, xds.ENDPOINT, xds.LISTENER, xds.ROUTE, xds.SECRET, xds.RUNTIME})
"""Types whose requests are counted each for itself."""

_AGGREGATED = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to speak: how requests are read, and the face of the machine. `only`: the one type that is served."""

    face: machine.Face
    message: Callable[[bytes], Any]
    request: Callable[[Any, str], machine.Request]
    only: str = ""


def handlers(deps: needs.Deps) -> Mapping[str, stream.Handler]:
    """The streams of ADS and SDS. What streams have in common is worked out once for all of them."""
    shared = sharing.Sharing()

    def handler(variant: Variant) -> stream.Handler:
        async def serve(call: stream.GrpcStream) -> None:
            with deps.ads.stream():
                await _serve(call, variant, shared, deps)

        return serve

    state = (sotw.StateOfTheWorld(), discovery_pb2.DiscoveryRequest.FromString, state_request)
    incremental = (delta.Delta(), discovery_pb2.DeltaDiscoveryRequest.FromString, delta_request)
    return {
        _AGGREGATED + "StreamAggregatedResources": handler(Variant(*state)),
        _AGGREGATED + "DeltaAggregatedResources": handler(Variant(*incremental)),
        _SECRETS + "StreamSecrets": handler(Variant(*state, only=xds.SECRET)),
        _SECRETS + "DeltaSecrets": handler(Variant(*incremental, only=xds.SECRET)),
    }


def state_request(message: Any, type_url: str) -> machine.Request:
    """A `DiscoveryRequest` as the machine reads it."""
    return machine.Request(
        type_url,
        names=tuple(message.resource_names),
        nonce=message.response_nonce,
        version_info=message.version_info,
        error=_error(message),
    )


def delta_request(message: Any, type_url: str) -> machine.Request:
    """A `DeltaDiscoveryRequest` as the machine reads it."""
    return machine.Request(
        type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=_error(message),
    )


def _error(message: Any) -> tuple[int, str] | None:
    if not message.HasField("error_detail"):
        return None
    return message.error_detail.code, message.error_detail.message[:WORDS]


async def _serve(call: stream.GrpcStream, variant: Variant, shared: sharing.Sharing, deps: needs.Deps) -> None:
    raw = await intake.first(call, deps)
    if raw is None:
        return
    message = intake.parse(variant.message, raw, deps)
    node = intake.node_of(message.node)
    session = await intake.admitted(deps.proxies.connect, call, node, deps)
    with contextlib.closing(session):
        states = machine.Machine(variant.face, shared, deps.instance_id, deps.backoff)
        conversation = _Conversation(call, variant, session, states, shared.frames, node.id, deps)
        conversation.take(message)
        del raw, message
        await conversation.run()


class _Conversation:
    """One stream after its first request."""

    def __init__(
        self,
        call: stream.GrpcStream,
        variant: Variant,
        session: needs.Session,
        states: machine.Machine,
        frames: framing.Frames,
        node_id: str,
        deps: needs.Deps,
    ) -> None:
        self._call = call
        self._variant = variant
        self._session = session
        self._states = states
        self._frames = frames
        self._node_id = node_id
        self._deps = deps
        self._inbox: deque[machine.Request] = deque()
        self._wake = session.feed.changed  # one event for all that the writer waits for
        self._room = asyncio.Event()
        self._is_over = False
        self._failure: stream.GrpcError | None = None

    async def run(self) -> None:
        """Talks until the client is done. GrpcError where it broke the rules."""
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read())
            try:
                await self._write()
            except ConnectionError:
                self._is_over = True  # the client is gone, and with it everything there was to say
            except stream.GrpcError as error:
                self._failure = error
            reader.cancel()
        if self._failure is not None:
            raise self._failure

    def take(self, message: Any) -> None:
        """Puts a request into the inbox. GrpcError where it is not one of this stream."""
        if message.node.id and message.node.id != self._node_id:
            self._refuse(stream.Status.UNKNOWN, f'the node of a stream cannot change: it is "{self._node_id}"')
        type_url = message.type_url or self._variant.only
        if not type_url:
            self._refuse(stream.Status.INVALID_ARGUMENT, "type URL is required for ADS")
        if self._variant.only and type_url != self._variant.only:
            self._refuse(stream.Status.INVALID_ARGUMENT, f"only {self._variant.only} is served here")
        request = self._variant.request(message, type_url)
        counted = type_url if type_url in _COUNTED else "other"  # a client must not make up series
        self._deps.ads.request(counted, "NACK" if request.error else "ACK" if request.nonce else "NONE")
        self._inbox.append(request)

    def _refuse(self, status: stream.Status, text: str) -> None:
        self._deps.refused("invalid")
        raise stream.GrpcError(status, text)

    async def _read(self) -> None:
        """Fills the inbox. How it ended is left for the writer to find."""
        try:
            while (raw := await self._call.receive()) is not None:
                self.take(intake.parse(self._variant.message, raw, self._deps))
                self._wake.set()
                while len(self._inbox) >= INBOX:
                    self._room.clear()
                    await self._room.wait()
        except stream.GrpcError as error:
            self._failure = error
        except ConnectionError:
            self._is_over = True
        finally:
            self._is_over = True
            self._wake.set()

    async def _write(self) -> None:
        feed, now = self._session.feed, self._deps.now
        while True:
            self._wake.clear()
            if self._failure is not None:
                return
            is_over = self._is_over
            while self._inbox:
                self._hear(self._inbox.popleft())
            self._room.set()
            if feed.snapshot is not None:
                self._states.on_snapshot(feed.snapshot)
            for response in self._states.flush(now()):
                await self._call.send(response.parts(self._frames))
                self._session.sent(response.type_url)
                self._deps.ads.response(response.type_url)
            if is_over:
                return
            await self._pause()

    async def _pause(self) -> None:
        """Until something happened, or the machine has something to send by itself."""
        due = self._states.due
        if due is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(due - self._deps.now(), 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return  # it is due

    def _hear(self, request: machine.Request) -> None:
        verdict = self._states.receive(request, self._deps.now())
        if self._states.remembered > REMEMBERED:
            self._refuse(stream.Status.RESOURCE_EXHAUSTED, f"a stream may ask for at most {REMEMBERED} types and names")
        if verdict is machine.Verdict.ACKNOWLEDGED:
            self._session.acknowledged(request.type_url)
        elif verdict is machine.Verdict.REJECTED and request.error is not None:
            self._session.rejected(request.type_url, request.error[1])
