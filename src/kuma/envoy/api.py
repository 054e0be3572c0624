"""Short names for the Envoy messages that we build.

Importing a protobuf module costs time and memory, so only what is used stands here. Every message is an Envoy v3
message (envoyproxy.io, API reference); attributes are Envoy's own names.
"""

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import (
    address_pb2,
    base_pb2,
    config_source_pb2,
    extension_pb2,
    health_check_pb2,
    substitution_format_string_pb2,
)
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.config.trace.v3 import datadog_pb2, zipkin_pb2
from envoy.config.trace.v3 import opentelemetry_pb2 as otlp_tracer_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2 as file_log_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.open_telemetry.v3 import logs_service_pb2 as otlp_log_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2 as http_rate_limit_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2 as network_rate_limit_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.filters.udp.dns_filter.v3 import dns_filter_pb2
from envoy.extensions.health_check.event_sinks.file.v3 import file_pb2 as health_file_pb2
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from envoy.extensions.matching.common_inputs.ssl.v3 import ssl_inputs_pb2
from envoy.extensions.retry.host.omit_host_metadata.v3 import omit_host_metadata_config_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from envoy.extensions.transport_sockets.tls.v3 import (
    common_pb2,
    secret_pb2,
    tls_pb2,
    tls_spiffe_validator_config_pb2,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import http_pb2 as http_type_pb2
from envoy.type.v3 import http_status_pb2, percent_pb2
from google.protobuf import any_pb2, duration_pb2
from opentelemetry.proto.common.v1 import common_pb2 as otlp_pb2
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3 import matcher_pb2
from xds.type.matcher.v3 import regex_pb2 as xds_regex_pb2
from xds.type.matcher.v3 import string_pb2 as xds_string_pb2

from kuma.envoy import set_filter_state

Message = Any
"""Some protobuf message; the generated modules carry no types of their own."""

AccessLog = accesslog_pb2.AccessLog
Address = address_pb2.Address
AnyMessage = any_pb2.Any
Cluster = cluster_pb2.Cluster
CelFilter = cel_pb2.ExpressionFilter
ClusterLoadAssignment = endpoint_pb2.ClusterLoadAssignment
CustomTag = custom_tag_pb2.CustomTag
DatadogTracer = datadog_pb2.DatadogConfig
DnsFilter = dns_filter_pb2.DnsFilterConfig
DownstreamTlsContext = tls_pb2.DownstreamTlsContext
Duration = duration_pb2.Duration
FileAccessLog = file_log_pb2.FileAccessLog
ExtensionWithMatcher = extension_matcher_pb2.ExtensionWithMatcher
Fault = fault_pb2.HTTPFault
Filter = listener_components_pb2.Filter
FilterChain = listener_components_pb2.FilterChain
FilterChainMatch = listener_components_pb2.FilterChainMatch
FractionalPercent = percent_pb2.FractionalPercent
GrpcStats = grpc_stats_pb2.FilterConfig
HeaderMatcher = route_components_pb2.HeaderMatcher
HeaderValue = base_pb2.HeaderValue
HttpConnectionManager = http_connection_manager_pb2.HttpConnectionManager
HttpFilter = http_connection_manager_pb2.HttpFilter
HttpInspector = http_inspector_pb2.HttpInspector
HttpProtocolOptions = http_protocol_options_pb2.HttpProtocolOptions
HttpRateLimit = http_rate_limit_pb2.LocalRateLimit
HttpRbac = http_rbac_pb2.RBAC
LbEndpoint = endpoint_components_pb2.LbEndpoint
Listener = listener_pb2.Listener
ListenerFilter = listener_components_pb2.ListenerFilter
LocalityLbEndpoints = endpoint_components_pb2.LocalityLbEndpoints
Lua = lua_pb2.Lua
Matcher = matcher_pb2.Matcher
Metadata = base_pb2.Metadata
NetworkRateLimit = network_rate_limit_pb2.LocalRateLimit
NetworkRbac = network_rbac_pb2.RBAC
OmitHostMetadata = omit_host_metadata_config_pb2.OmitHostMetadataConfig
OtlpAccessLog = otlp_log_pb2.OpenTelemetryAccessLogConfig
OtlpTracer = otlp_tracer_pb2.OpenTelemetryConfig
OtlpValue = otlp_pb2.AnyValue
OriginalDst = original_dst_pb2.OriginalDst
PreviousHosts = previous_hosts_pb2.PreviousHostsPredicate
PreviousPriorities = previous_priorities_config_pb2.PreviousPrioritiesConfig
Permission = rbac_pb2.Permission
Predicate = matcher_pb2.Matcher.MatcherList.Predicate
Principal = rbac_pb2.Principal
RbacAction = rbac_pb2.Action
RbacRules = rbac_pb2.RBAC
RedirectAction = route_components_pb2.RedirectAction
RegexMatcher = regex_pb2.RegexMatcher
Route = route_components_pb2.Route
RouteMatch = route_components_pb2.RouteMatch
RetryPolicy = route_components_pb2.RetryPolicy
RouteConfiguration = route_pb2.RouteConfiguration
Router = router_pb2.Router
Secret = secret_pb2.Secret
SdsSecretConfig = secret_pb2.SdsSecretConfig
SetFilterState = set_filter_state.Config
ServerNameInput = network_inputs_pb2.ServerNameInput
SubstitutionFormat = substitution_format_string_pb2.SubstitutionFormatString
SkipFilter = skip_action_pb2.SkipFilter
StatusCode = http_status_pb2.StatusCode
StringMatcher = string_pb2.StringMatcher
SubjectAltNameMatcher = common_pb2.SubjectAltNameMatcher
TcpProxy = tcp_proxy_pb2.TcpProxy
TlsInspector = tls_inspector_pb2.TlsInspector
TlsParameters = common_pb2.TlsParameters
SPIFFECertValidatorConfig = tls_spiffe_validator_config_pb2.SPIFFECertValidatorConfig
TransportSocket = base_pb2.TransportSocket
TypedExtensionConfig = extension_pb2.TypedExtensionConfig
UpstreamTlsContext = tls_pb2.UpstreamTlsContext
UriSanInput = ssl_inputs_pb2.UriSanInput
VirtualHost = route_components_pb2.VirtualHost
ZipkinTracer = zipkin_pb2.ZipkinConfig
XdsRegexMatcher = xds_regex_pb2.RegexMatcher
XdsStringMatcher = xds_string_pb2.StringMatcher
XdsTypedExtensionConfig = xds_extension_pb2.TypedExtensionConfig

ConfigSource = config_source_pb2.ConfigSource
HealthCheck = health_check_pb2.HealthCheck
HealthCheckEventFile = health_file_pb2.HealthCheckEventFileSink
HeaderValueOption = base_pb2.HeaderValueOption
V3 = config_source_pb2.ApiVersion.V3
INBOUND = base_pb2.TrafficDirection.INBOUND
OUTBOUND = base_pb2.TrafficDirection.OUTBOUND
UDP = address_pb2.SocketAddress.Protocol.UDP
SANITIZE_SET = HttpConnectionManager.ForwardClientCertDetails.SANITIZE_SET
URI_SAN = SubjectAltNameMatcher.SanType.URI
DNS_SAN = SubjectAltNameMatcher.SanType.DNS
HTTP2 = http_type_pb2.HTTP2
OVERWRITE = base_pb2.HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
DENY = RbacRules.Action.DENY
ALLOW = RbacRules.Action.ALLOW


def pack(message: Message) -> Message:
    """The message inside an `Any`, deterministically serialised."""
    out = AnyMessage()
    out.type_url = "type.googleapis.com/" + message.DESCRIPTOR.full_name
    out.value = message.SerializeToString(deterministic=True)
    return out


def seconds(value: float) -> Message:
    """A protobuf duration; 0 is written out as `0s`, which is not the same as absent."""
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))


def nanoseconds(value: int) -> Message:
    """As `seconds`, without loss, from the way durations are held inside."""
    return Duration(seconds=value // 1_000_000_000, nanos=value % 1_000_000_000)
