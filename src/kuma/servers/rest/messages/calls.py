"""One request on its way through the API, and what endpoints declare about themselves."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from kuma.security import users
from kuma.servers.rest.messages import parameters as params
from kuma.servers.rest.messages import replies, routing


@dataclass(frozen=True, slots=True)
class Call:
    """What an endpoint may know of a request. `url` is scheme, host and path, as the client wrote them."""

    template: str
    path: Mapping[str, str]
    query: params.Parameters
    url: str
    user: users.User
    body: Callable[[], Awaitable[bytes]]


Answer = Callable[[Call], Awaitable[replies.Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a route. `title` heads its error documents where the failing step has no name of its own."""

    answer: Answer
    title: str


Routes = routing.Routes[Endpoint]
