"""From settings to everything that a run needs before it says its first word to the control plane.

Whatever the user got wrong shows here, before anything is started.
"""

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kuma.apps.dataplane import log, readiness
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.control_plane import ControlPlane
from kuma.apps.dataplane.dns import listening
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import (
    bootstrap,
    credentials,
    definition,
    enrolment,
    host,
    outbound_ports,
    redirection,
    trust,
    workdir,
)
from kuma.apps.dataplane.otel import environment
from kuma.apps.dataplane.supervised import envoy

_API_PORT = 5681
_log = log.logger("run")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One run, ready to begin.

    `dns` are the sockets of the DNS server, none where there is no such server. `self_registered`: the proxy brings its
    Dataplane, or a zone proxy its own resource, and takes it along when it leaves.
    """

    settings: conf.Settings
    around: bootstrap.Surroundings
    control_plane: ControlPlane
    envoy_binary: str
    readiness_listener: socket.socket
    dns: tuple[listening.Pair, ...]
    self_registered: bool
    fetch_token: bool


def prepare(settings: conf.Settings, environ: Mapping[str, str], resources: ExitStack) -> Prepared:
    """Everything for one run; what must be given back at its end is left in `resources`. AgentError as it says."""
    brought = read_dataplane(settings, resources)
    mesh, name = _identity(settings, brought, environ)
    folder = _workdir(settings, resources)
    token_path = _token_path(settings, folder, name)
    token = credentials.read_token(token_path) if token_path else ""
    known_by = trust.trust_of(settings, environ)
    binary = envoy.find_envoy(settings.binary_path)
    version = envoy.read_version(binary)
    if not version.is_compatible:
        _log.info("Envoy %s is not of the release that this agent is made for", version.number)
    listener = readiness_listener(settings, environ)
    resources.callback(listener.close)
    redirect = settings.transparent_proxy or bool(settings.transparent_proxy_config)
    redirected = _redirection(settings) if redirect else None
    has_ipv6 = host.has_ipv6()
    dns = listening.open_sockets(settings, redirected, brought, has_ipv6)
    for each in (each for pair in dns for each in pair):
        resources.callback(each.close)
    around = bootstrap.Surroundings(
        mesh=mesh,
        name=name,
        definition=brought.to_json() if brought else "",
        token=token,
        token_path=os.path.abspath(token_path) if token_path else "",
        ca=known_by.ca,
        workdir=folder,
        readiness_port=int(listener.getsockname()[1]),
        envoy=version,
        system_ca=settings.system_ca_path or host.find_system_ca(),
        has_ipv6=has_ipv6,
        memory_limit=host.memory_limit(),
        redirection=redirected,
        host_ip=environ.get("HOST_IP", ""),
        answers_dns=bool(dns),
        telemetry=environment.read(environ),
    )
    api = settings.cp_api_address or _local_api(settings.cp_address)
    control_plane = ControlPlane(
        url=settings.cp_address.rstrip("/"),
        trust=known_by,
        api_url=api.rstrip("/"),
        retry_backoff=settings.retry_backoff,
        retry_limit=settings.retry_max_duration,
    )
    return Prepared(
        settings=settings,
        around=around,
        control_plane=control_plane,
        envoy_binary=binary,
        readiness_listener=listener,
        dns=dns,
        self_registered=brought is not None,
        fetch_token=bool(settings.service and api and not token),
    )


def read_dataplane(settings: conf.Settings, resources: ExitStack) -> definition.Definition | None:
    """The Dataplane that the proxy brings, None where it brings none; `resources` holds its ports. AgentError."""
    if settings.service:
        enrolled = enrolment.enrol(settings)
        _keep(enrolled.keepers, settings, resources)
        _keep_outbounds(enrolled.definition, "choose another port with --outbound NAME=PORT", settings, resources)
        return enrolled.definition
    if not settings.has_definition:
        return None
    if settings.name or settings.mesh:
        raise AgentError(
            "--name and --mesh cannot be specified when a dataplane definition is provided, mesh and name will be "
            "read from the dataplane definition"
        )
    brought = _read_definition(settings)
    definition.check_kind(brought, conf.PROXY_TYPES[settings.proxy_type])
    remedy = "choose another in networking.outbound of the definition (-d, --dataplane-file or --dataplane)"
    _keep_outbounds(brought, remedy, settings, resources)
    return brought


def _read_definition(settings: conf.Settings) -> definition.Definition:
    """The definition, in the default mesh where it names none; AgentError where it has no name."""
    template = definition.read_text(settings.resource, settings.resource_file)
    missing = definition.missing_variables(template, settings.variables)
    if missing:
        flags = " ".join(f"--dataplane-var {name}=VALUE" for name in missing)
        _log.warning(
            "variables of the Dataplane definition have no value: %s; give them with %s", ", ".join(missing), flags
        )
    brought = definition.render_definition(template, settings.variables)
    lacking = [field for field, value in (("name", brought.name), ("mesh", brought.mesh)) if not value]
    if missing and lacking:
        raise AgentError(
            f"the Dataplane definition has no {' and no '.join(lacking)}, and its template variables "
            f"{', '.join(missing)} have no value; give them with {flags}"
        )
    if "name" in lacking and brought.kind in conf.PROXY_TYPES.values():
        raise AgentError(".Dataplane is not valid: .Name must be non-empty: the definition lacks the field name")
    if "mesh" in lacking and brought.kind == conf.PROXY_TYPES["dataplane"]:
        return definition.Definition({**brought.document, "mesh": conf.DEFAULT_MESH})
    return brought


def _keep(keepers: Sequence[socket.socket], settings: conf.Settings, resources: ExitStack) -> None:
    for keeper in keepers:
        if settings.reuse_port:
            resources.callback(keeper.close)
        else:
            keeper.close()  # Envoy would find the port taken by us


def _keep_outbounds(brought: definition.Definition, remedy: str, settings: conf.Settings, resources: ExitStack) -> None:
    if not (settings.transparent_proxy or settings.transparent_proxy_config):
        _keep(outbound_ports.reserve_outbounds(brought, remedy), settings, resources)


def _identity(
    settings: conf.Settings, brought: definition.Definition | None, environ: Mapping[str, str]
) -> tuple[str, str]:
    mesh = brought.mesh if brought else settings.mesh or conf.DEFAULT_MESH
    name = brought.name if brought else settings.name
    pod, namespace = environ.get("POD_NAME"), environ.get("POD_NAMESPACE")
    if brought is None and pod and namespace and (not name or set(name) & set("$(){}")):
        name = f"{pod}.{namespace}"
    conf.check_identity(name, mesh, settings.proxy_type)
    return (mesh if settings.proxy_type == "dataplane" else ""), name


def _workdir(settings: conf.Settings, resources: ExitStack) -> str:
    chosen = settings.work_dir or settings.socket_dir or settings.config_dir
    if chosen:
        Path(chosen).mkdir(parents=True, exist_ok=True)
        return os.path.abspath(chosen)
    return workdir.make_workdir(resources)


def _token_path(settings: conf.Settings, folder: str, name: str) -> str:
    if settings.token:
        return credentials.write_secret(os.path.join(folder, name.replace("/", "_")), settings.token)
    return settings.token_file


def _local_api(cp_address: str) -> str:
    """The REST API of a control plane on this machine, which trusts its neighbours by default; elsewhere none."""
    name = urlsplit(cp_address).hostname or ""
    if not host.is_loopback(name):
        return ""
    return f"http://{f'[{name}]' if ':' in name else name}:{_API_PORT}"


def _redirection(settings: conf.Settings) -> dict[str, object]:
    return redirection.read_redirection(
        settings.transparent_proxy_config, settings.dns_enabled, settings.dns_envoy_port
    )


def readiness_listener(settings: conf.Settings, environ: Mapping[str, str]) -> socket.socket:
    """Where readiness is reported: on the chosen port, else on Kuma's, else on a free one, unless a kubelet asks there.

    AgentError where the port is taken.
    """
    # In a pod the kubelet asks from outside; elsewhere only Envoy's own listener does.
    address = "0.0.0.0" if environ.get("POD_NAME") else "127.0.0.1"
    is_chosen = "readiness_port" in settings.given
    port = 0 if settings.service and not is_chosen else settings.readiness_port
    try:
        return readiness.bind_reporter(address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and not is_chosen and not environ.get("POD_NAME"):
            _log.info("port %d is taken, so readiness is reported on a free one; KUMA_READINESS_PORT chooses one", port)
            return readiness.bind_reporter(address, 0)
        raise AgentError(
            f"could not report readiness on {address}:{port}: {error.strerror}. Choose another port with "
            "KUMA_READINESS_PORT"
        ) from error
