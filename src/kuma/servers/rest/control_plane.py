"""What the control plane says about itself: who it is, its configuration, its kinds, who is asking, and KRIs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kuma.base import errors, kri
from kuma.resources import kind as kinds
from kuma.security import access
from kuma.servers.rest import resources
from kuma.servers.rest.messages import calls, replies
from kuma.services import resources as use_cases

READ = "Could not retrieve a resource"


@dataclass(frozen=True, slots=True)
class About:
    """The answer of `/`. `gui` is the path of the web UI, empty where there is none."""

    hostname: str
    instance_id: str
    version: str
    cluster_id: Callable[[], str]
    product: str = "Kuma"
    gui: str = ""


class ControlPlaneEndpoints:
    """Answers about the control plane as a whole. `effective_config` is the running configuration, secrets masked."""

    def __init__(
        self,
        about: About,
        effective_config: Callable[[], Mapping[str, Any]],
        permits: access.StaticAccess,
        manager: use_cases.ResourceManager,
        shown: resources.ResourceEndpoints,
    ) -> None:
        self._about = about
        self._config = effective_config
        self._access = permits
        self._manager = manager
        self._shown = shown

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints that belong to no kind."""
        for path, answer, title in (
            ("/", self._index, ""),
            ("/config", self._show_config, "Could not retrieve the configuration"),
            ("/who-am-i", self._who_am_i, ""),
            ("/policies", self._policies, ""),
            ("/_resources", self._kinds, ""),
            ("/_kri/{kri}", self._by_kri, READ),
        ):
            routes.add("GET", path, calls.Endpoint(answer, title))

    async def _index(self, call: calls.Call) -> replies.Reply:
        about = self._about
        document = {
            "clusterId": about.cluster_id(),
            "gui": about.gui,
            "hostname": about.hostname,
            "instanceId": about.instance_id,
            "product": about.product,
            "version": about.version,
        }
        return replies.json_reply(document)

    async def _show_config(self, call: calls.Call) -> replies.Reply:
        self._access.require_control_plane_metadata(call.user)
        return replies.json_reply(self._config())

    async def _who_am_i(self, call: calls.Call) -> replies.Reply:
        return replies.json_reply({"name": call.user.name, "groups": list(call.user.groups)})

    async def _policies(self, call: calls.Call) -> replies.Reply:
        role = self._manager.role
        found = [
            {
                "name": kind.name,
                "readOnly": not role.accepts(kind),
                "path": kind.plural,
                "singularDisplayName": kind.singular_display,
                "pluralDisplayName": kind.plural_display,
                "isExperimental": False,
                "isTargetRefBased": kind.policy.target_ref,
                "isInbound": kind.policy.has_from or kind.policy.has_rules,
                "isOutbound": kind.policy.has_to,
            }
            for kind in self._manager.catalog
            if kind.policy is not None and kind.exposed
        ]
        return replies.json_reply({"policies": found})

    async def _kinds(self, call: calls.Call) -> replies.Reply:
        role = self._manager.role
        is_closed = role.read_only or (role.federated and not role.is_global)
        found = [self._kind(kind, is_closed) for kind in self._manager.catalog if kind.exposed]
        return replies.json_reply({"resources": found})

    def _kind(self, kind: kinds.Kind[Any], is_closed: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "includeInFederation": bool(kind.sync & kinds.Sync.GLOBAL_TO_ZONE) and not kind.read_only,
            "name": kind.name,
            "path": kind.plural,
            "pluralDisplayName": kind.plural_display,
        }
        if kind.policy is not None:
            shown["policy"] = {
                "hasFromTargetRef": kind.policy.has_from,
                "hasRulesTargetRef": kind.policy.has_rules,
                "hasToTargetRef": kind.policy.has_to,
                "isFromAsRules": kind.policy.from_as_rules,
                "isTargetRef": kind.policy.target_ref,
            }
        return shown | {
            "readOnly": kind.read_only or is_closed,
            "scope": kind.scope.value,
            "shortName": kind.short,
            "singularDisplayName": kind.singular_display,
        }

    async def _by_kri(self, call: calls.Call) -> replies.Reply:
        try:
            wanted = kri.parse_kri(call.path["kri"])
        except ValueError as failure:
            raise errors.BadRequest(f"bad request: {failure}") from None
        kind = self._manager.catalog.by_short(wanted.short)
        if kind is None:
            raise errors.BadRequest(f'bad request: unknown short name of resource type: "{wanted.short}"')
        found = await self._manager.find_by_kri(kind, wanted, call.user)
        return self._shown.shown(found, call)
