"""The checks behind `/bootstrap`, in Kuma's order, and the answer.

Order (observable): token, host name, resource, its mesh, CA. The token itself is verified on the streams later;
here only its absence is reported, early and in words.
"""

import asyncio
import functools
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from kuma.base import errors
from kuma.envoy import bootstrap
from kuma.envoy import bootstrap_request as requests
from kuma.resources import resource as res
from kuma.resources.kinds import mesh
from kuma.security import certificates
from kuma.servers.agents import deps as needs
from kuma.servers.agents import facts
from kuma.services.proxies import offered

TOKEN_MISSING = (
    "Dataplane Token is required. Generate token using 'kumactl generate dataplane-token > /path/file' "
    "and provide it via --dataplane-token-file=/path/file argument to Kuma DP"
)
NOT_A_CA = (
    "A data plane proxy is trying to verify the control plane using the certificate which is not a certificate "
    "authority (basic constraint 'CA' is set to 'false').\n"
    "Provide CA that was used to sign a certificate used in the control plane by using 'kuma-dp run "
    "--ca-cert-file=file' or via KUMA_CONTROL_PLANE_CA_CERT_FILE"
)


class Unprocessable(errors.KumaError):
    """The request was understood and cannot be served (HTTP 422)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Envoy's configuration as YAML, and what the agent needs for itself.

    `warnings` (not in Kuma) are about the definition that it brought.
    """

    config: bytes
    address: str
    scrapes: list[facts.Scrape]
    warnings: tuple[str, ...] = ()


async def answer_bootstrap(request: requests.Request, host: str, deps: needs.Deps) -> Answer:
    """The bootstrap of one proxy; `host` is the name the agent used for us.

    Raises Unprocessable (no token, invalid resource), BadRequest (wrong name, type or CA), NotFound.
    """
    if request.kind_of_proxy not in requests.PROXY_TYPES:
        raise errors.BadRequest(f'unknown proxy type "{request.proxy_type}"')
    check_token(request, deps)
    xds_host = deps.params.xds_host or host
    if not deps.params.xds_host:
        check_host(host, deps.certificate)
    proxy, owner = await _proxy_and_mesh(request, deps)
    ca = request.ca_cert.encode() or deps.certificate
    check_ca(ca)
    known = bootstrap.Facts(
        service=facts.service_of(proxy, request.kind_of_proxy, deps.inbound_tags_disabled),
        xds_host=xds_host,
        ca=ca,
        admin_port=facts.admin_port_of(proxy),
        builtin_gateway=facts.is_builtin_gateway(proxy),
        exclusive_mesh_services=owner is not None and facts.is_exclusive(owner),
        host_v4_only=await _has_only_v4(xds_host),
    )
    config = bootstrap.to_yaml(bootstrap.generate_bootstrap(request, known, deps.params))
    scrapes = facts.scrapes_of(owner, proxy) if owner is not None else []
    warnings = offered.unknown_fields(request.dataplane_resource, proxy.kind) if request.dataplane_resource else ()
    return Answer(config, facts.address_of(proxy), scrapes, tuple(warnings))


def check_token(request: requests.Request, deps: needs.Deps) -> None:
    """Unprocessable where proxies of this type need a token and none was given."""
    is_dataplane = request.kind_of_proxy == requests.DATAPLANE
    required = deps.dataplane_token_required if is_dataplane else deps.zone_token_required
    if required and not (request.dataplane_token or request.dataplane_token_path):
        raise Unprocessable(TOKEN_MISSING)


def check_host(host: str, certificate: bytes) -> None:
    """BadRequest where Envoy would refuse our certificate under the name that the agent used."""
    if certificates.covers(certificate, host):
        return
    raise errors.BadRequest(
        f"A data plane proxy is trying to connect to the control plane using {_quoted(host)} address, but the "
        f"certificate in the control plane has the following SANs {_names(certificate)}. Either change the "
        "--cp-address in kuma-dp to one of those or execute the following steps:\n"
        "1) Generate a new certificate with the address you are trying to use. It is recommended to use trusted "
        "Certificate Authority, but you can also generate self-signed certificates using 'kumactl generate "
        f"tls-certificate --type=server --hostname={host}'\n"
        "2) Set KUMA_GENERAL_TLS_CERT_FILE and KUMA_GENERAL_TLS_KEY_FILE or the equivalent in Kuma CP config file "
        "to the new certificate.\n"
        "3) Restart the control plane to read the new certificate and start kuma-dp."
    )


def check_xds_host(host: str, certificate: bytes) -> None:
    """ValueError where `bootstrapServer.params.xdsHost` is not in our certificate: no proxy could ever connect."""
    if host and not certificates.covers(certificate, host):
        raise ValueError(
            f"hostname: {host} set by KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_HOST is not available in the DP Server "
            f"certificate. Available hostnames: {_names(certificate)}. Change the hostname or generate certificate "
            "with proper hostname."
        )


def check_ca(ca: bytes) -> None:
    """BadRequest where Envoy could not verify us with this certificate."""
    try:
        usable = certificates.is_ca(ca)
    except (ValueError, IndexError) as error:
        raise errors.BadRequest("caCert is not a certificate in PEM form") from error
    if not usable:
        raise errors.BadRequest(NOT_A_CA)


async def _proxy_and_mesh(request: requests.Request, deps: needs.Deps) -> tuple[res.Resource[Any], mesh.Mesh | None]:
    if request.dataplane_resource:
        return await _offered(request, deps)
    proxy = await deps.resources.get(facts.key_of(request))
    if request.kind_of_proxy != requests.DATAPLANE:
        return proxy, None
    return proxy, (await deps.resources.get(res.Key("Mesh", "", request.mesh))).spec


async def _offered(request: requests.Request, deps: needs.Deps) -> tuple[res.Resource[Any], mesh.Mesh | None]:
    """The definition that the agent brought. It is not stored here: that happens when its stream opens."""
    try:
        proxy = offered.read_offered(request.dataplane_resource, facts.KINDS[request.kind_of_proxy], deps.catalog)
    except errors.InvalidResource as error:
        raise Unprocessable(str(error)) from error
    if facts.has_outbounds_despite_redirection(proxy, request):
        raise Unprocessable("outbound: should be empty since dataplane is in Transparent Proxying mode")
    if request.kind_of_proxy != requests.DATAPLANE:
        return proxy, None
    try:
        return proxy, (await deps.resources.get(res.Key("Mesh", "", proxy.meta.mesh))).spec
    except errors.NotFound as error:
        raise Unprocessable(f"mesh: mesh {_quoted(proxy.meta.mesh)} does not exist") from error


async def _has_only_v4(host: str) -> bool:
    """Whether Envoy should look for IPv4 addresses alone. False where it cannot be told.

    A name is asked of DNS. `localhost` means both families wherever this machine has both; where it has no IPv6, Envoy
    would still try the ::1 of /etc/hosts first and never get through.
    """
    if _is_ip(host):
        return False
    if host == "localhost":
        return not _has_v6_loopback()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return {family for family, *_ in found} == {socket.AF_INET}


@functools.cache
def _has_v6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _names(certificate: bytes) -> str:
    return "[" + " ".join(_quoted(each) for each in certificates.hosts_of(certificate)) + "]"
