"""Kinds that only Kubernetes has: objects that its controllers and its injector read, never resources of a mesh.

Source: Kuma's documentation, "Custom resources" (ContainerPatch, MeshGatewayInstance, MeshGatewayConfig).
"""

from typing import Annotated

import msgspec

from kuma.resources import conditions as told
from kuma.resources import kind as kinds
from kuma.resources import values


class JsonPatch(kinds.Spec, frozen=True):
    """One operation of RFC 6902; `value` is JSON in a text."""

    op: Annotated[str, values.Required, values.one_of("add", "remove", "replace", "move", "copy")] = ""
    path: Annotated[str, values.Required] = ""
    from_: str = msgspec.field(default="", name="from")
    value: str = ""


class ContainerPatch(kinds.Spec, frozen=True):
    """Changes to the containers that are injected into pods which name this patch."""

    sidecar_patch: tuple[JsonPatch, ...] = ()
    init_patch: tuple[JsonPatch, ...] = ()


class ObjectMetadata(kinds.Spec, frozen=True):
    """Labels and annotations of an object that is made."""

    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class ContainerSecurityContext(kinds.Spec, frozen=True):
    """What the proxy's container may do."""

    read_only_root_filesystem: bool | None = None


class Container(kinds.Spec, frozen=True):
    """The proxy's container."""

    security_context: ContainerSecurityContext | None = None


class PodSecurityContext(kinds.Spec, frozen=True):
    """What the pod may do."""

    fs_group: int | None = None


class PodSpec(kinds.Spec, frozen=True):
    """The part of a pod that can be chosen."""

    container: Container | None = None
    security_context: PodSecurityContext | None = None
    service_account_name: str = ""


class PodTemplate(kinds.Spec, frozen=True):
    """The pods of a gateway."""

    metadata: ObjectMetadata | None = None
    spec: PodSpec | None = None


class ServiceSpec(kinds.Spec, frozen=True):
    """The part of a Service that can be chosen."""

    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")


class ServiceTemplate(kinds.Spec, frozen=True):
    """The Service before a gateway."""

    metadata: ObjectMetadata | None = None
    spec: ServiceSpec | None = None


class Claim(kinds.Spec, frozen=True):
    """A device that the pod claims."""

    name: Annotated[str, values.Required] = ""
    request: str = ""


class Resources(kinds.Spec, frozen=True):
    """Memory and processor time, as Kubernetes writes them."""

    claims: tuple[Claim, ...] = ()
    limits: dict[str, values.IntOrString] = msgspec.field(default_factory=dict)
    requests: dict[str, values.IntOrString] = msgspec.field(default_factory=dict)


class MeshGatewayInstance(kinds.Spec, frozen=True):
    """The Deployment and the Service of a builtin gateway."""

    pod_template: PodTemplate | None = None
    replicas: Annotated[values.Int32, values.bounded(least=1), values.defaults_to(1)] = 1
    resources: Resources | None = None
    service_template: ServiceTemplate | None = None
    service_type: Annotated[
        str, values.one_of("LoadBalancer", "ClusterIP", "NodePort"), values.defaults_to("LoadBalancer")
    ] = "LoadBalancer"
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class MeshGatewayConfig(MeshGatewayInstance, frozen=True):
    """What a GatewayClass of the Gateway API makes of its Gateways."""

    cross_mesh: bool = False


class IngressPort(kinds.Spec, frozen=True):
    """A port of a load balancer."""

    port: Annotated[values.Int32, values.Required] = 0
    protocol: Annotated[str, values.Required] = ""
    error: Annotated[str, values.Required] = ""


class Ingress(kinds.Spec, frozen=True):
    """An address of a load balancer."""

    hostname: str = ""
    ip: str = ""
    ip_mode: str = ""
    ports: tuple[IngressPort, ...] = ()


class LoadBalancer(kinds.Spec, frozen=True):
    """The addresses under which a gateway is reached."""

    ingress: tuple[Ingress, ...] = ()


class GatewayCondition(told.Condition, frozen=True):
    """A condition as Kubernetes' own objects have it."""

    last_transition_time: Annotated[values.Timestamp | None, values.Required] = None
    observed_generation: int = 0


class GatewayInstanceStatus(kinds.Spec, frozen=True):
    """What became of a gateway."""

    conditions: tuple[GatewayCondition, ...] = ()
    load_balancer: LoadBalancer | None = None


class GatewayConfigStatus(kinds.Spec, frozen=True):
    """Nothing is told about a configuration."""
