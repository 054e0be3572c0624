"""Everything the agent ever says to the control plane: a token, please; bootstrap, please; goodbye."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from kuma.apps.dataplane import log
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining.trust import Trust
from kuma.apps.dataplane.metrics.scraping import Target
from kuma.apps.dataplane.wire import http_client
from kuma.base import durations

TOKEN_LIFETIME = "87600h"
"""As long as `kumactl generate dataplane-token` gives by default: Envoy keeps it for its whole life."""

_FIRST_RETRY = 0.1
_GOODBYE_SECONDS = 2.0
_FAILED = "Failed to fetch Envoy bootstrap config. "
_NOT_FOUND = (
    "Dataplane entity not found. If you are running on Universal please create a Dataplane entity on kuma-cp before "
    "starting kuma-dp or pass it to kuma-dp run --dataplane-file=/file. If you are running on Kubernetes, please check "
    "the kuma-cp logs to determine why the Dataplane entity could not be created by the automatic sidecar injection."
)
_WRONG_PORT = (
    "There is no /bootstrap endpoint for provided CP address. Double check if the address passed to the CP has a DP "
    "Server port (5678 by default), not HTTP API (5681 by default)"
)

_PORTS = "Double check --cp-address: the DP Server has port 5678 by default and TLS, the HTTP API has port 5681"
_MAYBE_TLS = "; if it speaks TLS, its address begins with https://"
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
STILL_WAITING = 30.0
"""Seconds after which the same reason for waiting is worth another line."""

_log = log.logger("control-plane")

T = TypeVar("T")


class Unreachable(Exception):
    """This attempt failed and a later one may succeed."""


class TokenMissing(AgentError):
    """The control plane wants a token and got none."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Envoy's configuration (YAML), and the agent's own part of the answer.

    `address` is the proxy's own; `aggregate` what the Mesh's Prometheus backend wants scraped beside Envoy.
    """

    config: bytes
    address: str
    aggregate: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One control plane: the data plane server at `url`, and the REST API at `api_url` (empty: not to be asked).

    `retry_backoff` and `retry_limit` are nanoseconds; a limit of 0 means for ever.
    """

    url: str
    trust: Trust
    api_url: str
    retry_backoff: int
    retry_limit: int

    async def until_answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeats an attempt while it is Unreachable; AgentError once `retry_limit` has passed."""
        clock = asyncio.get_running_loop().time
        started, pause, reported, report_at = clock(), _FIRST_RETRY, "", 0.0
        while True:
            try:
                self._refresh_trust()
                return await attempt()
            except Unreachable as error:
                reason = str(error)
            if self.retry_limit and clock() - started > self.retry_limit / durations.SECOND:
                raise AgentError(_FAILED + reason)
            if reason != reported or clock() >= report_at:
                _log.info("nothing from the control plane yet, trying until there is: %s", reason)
                reported, report_at = reason, clock() + STILL_WAITING
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.retry_backoff / durations.SECOND)

    def _refresh_trust(self) -> None:
        try:
            self.trust.refresh()
        except AgentError as error:  # it is being written, or will be put right
            raise Unreachable(str(error)) from error

    async def ask_bootstrap(self, request: Mapping[str, Any]) -> Bootstrap:
        """One attempt. AgentError for a refusal that will not change, TokenMissing among them."""
        headers = {"accept": "application/json", "content-type": "application/json"}
        answer = await self._post(f"{self.url}/bootstrap", request, headers)
        if answer.status == 200:
            return _read_bootstrap(answer)
        if answer.status == 404:
            if answer.body:
                raise AgentError(_FAILED + _WRONG_PORT)
            raise Unreachable(_NOT_FOUND)
        if 400 <= answer.status < 500:
            kind = TokenMissing if "Token is required" in answer.text else AgentError
            raise kind(f"{_FAILED}Invalid request: {answer.text or f'status {answer.status}'}")
        raise Unreachable(f"unexpected status code: {answer.status}")

    async def ask_token(self, mesh: str, name: str) -> str:
        """A token for one Dataplane, as the REST API gives it to whoever calls from the same machine.

        Empty where the API refuses: the proxy may need none, and if it does, the refusal of its bootstrap says so.
        AgentError where the mesh does not exist.
        """
        wanted = {"mesh": mesh, "name": name, "validFor": TOKEN_LIFETIME}
        answer = await self._post(f"{self.api_url}/tokens/dataplane", wanted, {"content-type": "application/json"})
        if answer.status == 200:
            return answer.text
        found = await self._send("GET", f"{self.api_url}/meshes/{quote(mesh, safe='')}", None, {})
        if found.status == 404 and "json" in found.headers.get("content-type", ""):  # not just any server's 404
            raise AgentError(
                f'the mesh "{mesh}" does not exist; create it (kumactl apply), or choose another with --mesh'
            )
        _log.info("the control plane gave no token: status %s", answer.status)
        return ""

    async def say_goodbye(
        self, mesh: str, name: str, token: str, definition: str = "", proxy_type: str = "dataplane"
    ) -> None:
        """Takes the proxy out of its peers' endpoints. A failure is logged: leaving must go on without it.

        `definition` is what the proxy brought, so that another proxy which registered the same name is not meant.
        """
        leaving = {"mesh": mesh, "name": name, "proxyType": proxy_type}
        leaving |= {"dataplaneResource": definition} if definition else {}
        with contextlib.suppress(Unreachable, TimeoutError, AgentError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                headers = {"content-type": "application/json"} | ({"authorization": token} if token else {})
                answer = await self._post(f"{self.url}/goodbye", leaving, headers)
            if answer.status < 300 or answer.status == 404:  # somebody else removed it, or it never got in
                return
            _log.info("the control plane did not take the goodbye: status %s", answer.status)
            return
        _log.info("the control plane could not be told goodbye; it will notice by itself")

    async def _post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> http_client.Answer:
        return await self._send("POST", url, body, headers)

    async def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> http_client.Answer:
        text = json.dumps(body).encode() if body is not None else b""
        try:
            return await http_client.send_request(method, url, body=text, headers=headers, tls=self.trust.tls)
        except ssl.SSLCertVerificationError as error:
            raise self._mistrust(url, error.verify_message) from error
        except OSError as error:
            if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
                raise AgentError(f"{_FAILED}{url} does not speak TLS. {_PORTS}") from error
            hint = _MAYBE_TLS if url.startswith("http:") and isinstance(error, http_client.BrokenAnswerError) else ""
            raise Unreachable(f"{url}: {error or type(error).__name__}{hint}") from error

    def _mistrust(self, url: str, why: str) -> Exception:
        trust = self.trust
        known = f"by {trust.source}" if trust.source else "by the CAs of this system"
        said = f"The certificate of the control plane at {url} cannot be trusted {known}: {why}. Give its CA with --ca-cert-file"
        if trust.own_file:
            return Unreachable(f"{said}; without, {trust.own_file} is read again each time")
        return AgentError(_FAILED + said)


def _read_bootstrap(answer: http_client.Answer) -> Bootstrap:
    if answer.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Bootstrap(answer.body, "")  # an older control plane sends the configuration alone
    try:
        document = json.loads(answer.body)
        about = document.get("kumaSidecarConfiguration", {})
        aggregate = tuple(
            Target(
                str(each.get("name") or ""),
                str(each["address"]),
                int(each["port"]),
                str(each.get("path") or "/metrics"),
            )
            for each in about.get("metrics", {}).get("aggregate") or ()
        )
        address = about.get("networking", {}).get("address", "")
        for text in document.get("warnings") or ():
            _log.warning("the definition of this proxy: %s", text)
        return Bootstrap(base64.b64decode(document["bootstrap"]), address, aggregate)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise AgentError(f"{_FAILED}The answer of the control plane cannot be read: {error}") from error
