"""Everything the agent ever says to the control plane: a token, please; bootstrap, please; goodbye."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kuma.apps.dataplane import http_client, log
from kuma.apps.dataplane.failure import AgentError
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

_log = log.logger("control-plane")

T = TypeVar("T")


class Unreachable(Exception):
    """This attempt failed and a later one may succeed."""


class TokenMissing(AgentError):
    """The control plane wants a token and got none."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Envoy's configuration (YAML), and the agent's own part of the answer."""

    config: bytes
    address: str


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One control plane: the data plane server at `url`, and the REST API at `api_url` (empty: not to be asked).

    `retry_backoff` and `retry_limit` are nanoseconds; a limit of 0 means for ever.
    """

    url: str
    tls: ssl.SSLContext
    api_url: str
    retry_backoff: int
    retry_limit: int

    async def until_answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeats an attempt while it is Unreachable; AgentError once `retry_limit` has passed."""
        clock = asyncio.get_running_loop().time
        started, pause, reported = clock(), _FIRST_RETRY, ""
        while True:
            try:
                return await attempt()
            except Unreachable as error:
                reason = str(error)
            if self.retry_limit and clock() - started > self.retry_limit / durations.SECOND:
                raise AgentError(_FAILED + reason)
            if reason != reported:
                _log.info("the control plane does not answer, trying until it does: %s", reason)
                reported = reason
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.retry_backoff / durations.SECOND)

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
        """
        wanted = {"mesh": mesh, "name": name, "validFor": TOKEN_LIFETIME}
        answer = await self._post(f"{self.api_url}/tokens/dataplane", wanted, {"content-type": "application/json"})
        if answer.status == 200:
            return answer.text
        _log.info("the control plane gave no token: status %s", answer.status)
        return ""

    async def say_goodbye(self, mesh: str, name: str, token: str) -> None:
        """Takes the proxy out of its peers' endpoints. A failure is logged: leaving must go on without it."""
        with contextlib.suppress(Unreachable, TimeoutError, AgentError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                headers = {"content-type": "application/json"} | ({"authorization": token} if token else {})
                answer = await self._post(f"{self.url}/goodbye", {"mesh": mesh, "name": name}, headers)
            if answer.status < 300:
                return
            _log.info("the control plane did not take the goodbye: status %s", answer.status)
            return
        _log.info("the control plane could not be told goodbye; it will notice by itself")

    async def _post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> http_client.Answer:
        text = json.dumps(body).encode()
        try:
            return await http_client.send_request("POST", url, body=text, headers=headers, tls=self.tls)
        except ssl.SSLCertVerificationError as error:
            raise AgentError(
                f"{_FAILED}The certificate of the control plane at {url} cannot be trusted: {error.verify_message}. "
                "Give its CA with --ca-cert-file"
            ) from error
        except OSError as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from error


def _read_bootstrap(answer: http_client.Answer) -> Bootstrap:
    if answer.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Bootstrap(answer.body, "")  # an older control plane sends the configuration alone
    try:
        document = json.loads(answer.body)
        networking = document.get("kumaSidecarConfiguration", {}).get("networking", {})
        return Bootstrap(base64.b64decode(document["bootstrap"]), networking.get("address", ""))
    except (ValueError, KeyError, AttributeError) as error:
        raise AgentError(f"{_FAILED}The answer of the control plane cannot be read: {error}") from error
