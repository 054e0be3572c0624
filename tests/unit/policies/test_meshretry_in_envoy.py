"""Which retries reach Envoy: by the protocol of the destination, with what Envoy insists on."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.envoy import api, constraints, http
from kuma.policies.meshretry import translate
from tests.kit import policies, translated

HTTP_DEFAULT = "gateway-error,connect-failure,refused-stream"
GRPC_DEFAULT = "cancelled,connect-failure,gateway-error,refused-stream,reset,resource-exhausted,unavailable"
EXTENSIONS = "type.googleapis.com/envoy.extensions.retry"


def client(conf: dict[str, Any], protocol: str = "http") -> translated.Client:
    entry = {"targetRef": {"kind": "Mesh"}, "default": conf}
    return translated.Client(translate.POLICY, policies.a_policy("MeshRetry", "r", to=[entry]), protocol=protocol)


def policy_of(conf: dict[str, Any], protocol: str = "http") -> dict[str, Any]:
    """The retry policy of the route, which Envoy would take."""
    found = client(conf, protocol).route().get("retryPolicy", {})
    assert constraints.first_violation(json_format.ParseDict(found or {}, api.RetryPolicy())) == ""
    return dict(found)


@pytest.mark.parametrize(
    ("conf", "protocol", "expected"),
    [
        ({"http": {"numRetries": 3}}, "http", {"retryOn": HTTP_DEFAULT, "numRetries": 3}),
        ({"http": {"numRetries": 0, "retryOn": ["5xx"]}}, "http", {}),
        ({"http": {"numRetries": 3}}, "http2", {}),
        ({"http": {"numRetries": 3}}, "grpc", {}),
        ({"grpc": {"numRetries": 3}}, "http", {}),
        ({"grpc": {"numRetries": 3}}, "grpc", {"retryOn": GRPC_DEFAULT, "numRetries": 3}),
        ({"grpc": {"numRetries": 0}}, "grpc", {}),
        (
            {"grpc": {"retryOn": ["Canceled", "DeadlineExceeded", "Internal", "ResourceExhausted", "Unavailable"]}},
            "grpc",
            {"retryOn": "cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"},
        ),
        (
            {"http": {"perTryTimeout": "2s"}},
            "http",
            {"retryOn": HTTP_DEFAULT, "perTryTimeout": "2s"},
        ),
        ({"tcp": {"maxConnectAttempt": 4}}, "http", {}),
    ],
)
def test_the_protocol_of_the_destination_picks_a_part(
    conf: dict[str, Any], protocol: str, expected: dict[str, Any]
) -> None:
    assert policy_of(conf, protocol) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], {"retryOn": HTTP_DEFAULT}),
        (
            ["5xx", "GatewayError", "Reset", "Retriable4xx", "ConnectFailure", "EnvoyRatelimited", "RefusedStream"],
            {"retryOn": "5xx,gateway-error,reset,retriable-4xx,connect-failure,envoy-ratelimited,refused-stream"},
        ),
        (["Http3PostConnectFailure"], {"retryOn": "http3-post-connect-failure"}),
        (
            ["429", "Reset", "503"],
            {"retryOn": "reset,retriable-status-codes", "retriableStatusCodes": [429, 503]},
        ),
        (["429"], {"retryOn": f"{HTTP_DEFAULT},retriable-status-codes", "retriableStatusCodes": [429]}),
        (
            ["HttpMethodGet", "HttpMethodTrace"],
            {
                "retryOn": HTTP_DEFAULT,
                "retriableRequestHeaders": [
                    {"name": ":method", "stringMatch": {"exact": method}} for method in ("GET", "TRACE")
                ],
            },
        ),
    ],
)
def test_conditions(conditions: list[str], expected: dict[str, Any]) -> None:
    assert policy_of({"http": {"retryOn": conditions}}) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"baseInterval": "1s", "maxInterval": "1m"}, {"baseInterval": "1s", "maxInterval": "60s"}),
        ({"baseInterval": "1s"}, {"baseInterval": "1s"}),
        ({"maxInterval": "1m"}, {"baseInterval": "0.025s", "maxInterval": "60s"}),
        ({"baseInterval": "0s"}, {"baseInterval": "0.001s"}),
        ({"baseInterval": "2s", "maxInterval": "1s"}, {"baseInterval": "2s", "maxInterval": "2s"}),
        ({"maxInterval": "0s"}, {"baseInterval": "0.025s", "maxInterval": "0.025s"}),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_pauses_are_such_that_envoy_takes_them(
    written: dict[str, str], expected: dict[str, str], protocol: str
) -> None:
    assert policy_of({protocol: {"backOff": written}}, protocol)["retryBackOff"] == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {
                "resetHeaders": [{"name": "a", "format": "Seconds"}, {"name": "b", "format": "UnixTimestamp"}],
                "maxInterval": "9s",
            },
            {"resetHeaders": [{"name": "a"}, {"name": "b", "format": "UNIX_TIMESTAMP"}], "maxInterval": "9s"},
        ),
        ({"resetHeaders": [], "maxInterval": "9s"}, None),
    ],
)
def test_pauses_that_the_server_asks_for(written: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert policy_of({"http": {"rateLimitedBackOff": written}}).get("rateLimitedRetryBackOff") == expected


def test_headers_of_requests_and_responses() -> None:
    written = [
        {"type": "Exact", "name": "e", "value": "v"},
        {"type": "Prefix", "name": "p", "value": "v"},
        {"type": "RegularExpression", "name": "r", "value": "v.*"},
        {"type": "Present", "name": "there"},
        {"type": "Absent", "name": "gone"},
        {"name": "d", "value": "v"},
    ]
    expected = [
        {"name": "e", "stringMatch": {"exact": "v"}},
        {"name": "p", "stringMatch": {"prefix": "v"}},
        {"name": "r", "stringMatch": {"safeRegex": {"regex": "v.*"}}},
        {"name": "there", "presentMatch": True},
        {"name": "gone", "presentMatch": False},
        {"name": "d", "stringMatch": {"exact": "v"}},
    ]
    conf = {"http": {"retriableRequestHeaders": written, "retriableResponseHeaders": written}}
    assert policy_of(conf)["retriableRequestHeaders"] == expected
    assert policy_of(conf)["retriableHeaders"] == expected


def test_what_is_no_regular_expression_fits_nothing() -> None:
    written = [{"type": "RegularExpression", "name": "r", "value": "(?=look)"}]
    (found,) = policy_of({"http": {"retriableRequestHeaders": written}})["retriableRequestHeaders"]
    assert found["stringMatch"] == {"safeRegex": {"regex": http.NOTHING}}


def test_hosts_that_retries_leave_out() -> None:
    found = policy_of(
        {
            "http": {
                "hostSelection": [
                    {"predicate": "OmitPreviousHosts"},
                    {"predicate": "OmitHostsWithTags", "tags": {"version": "v1"}},
                    {"predicate": "OmitPreviousPriorities"},
                ],
                "hostSelectionMaxAttempts": 7,
            }
        }
    )
    previous, tagged = found["retryHostPredicate"]
    assert previous == {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typedConfig": {"@type": f"{EXTENSIONS}.host.previous_hosts.v3.PreviousHostsPredicate"},
    }
    assert tagged == {
        "name": "envoy.retry_host_predicates.omit_host_metadata",
        "typedConfig": {
            "@type": f"{EXTENSIONS}.host.omit_host_metadata.v3.OmitHostMetadataConfig",
            "metadataMatch": {"filterMetadata": {"envoy.lb": {"version": "v1"}}},
        },
    }
    assert found["retryPriority"] == {
        "name": "envoy.retry_priorities.previous_priorities",
        "typedConfig": {
            "@type": f"{EXTENSIONS}.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "updateFrequency": 2,
        },
    }
    assert found["hostSelectionRetryMaxAttempts"] == "7"


@pytest.mark.parametrize(("protocol", "expected"), [("tcp", 4), ("kafka", 0)])
def test_connections_are_tried_several_times(protocol: str, expected: int) -> None:
    chain = client({"tcp": {"maxConnectAttempt": 4}, "http": {"numRetries": 2}}, protocol).chain()
    assert chain.tcp is not None
    assert chain.tcp.max_connect_attempts.value == expected


def test_without_a_policy_nothing_is_tried_again() -> None:
    assert translated.Client(translate.POLICY).route() == {"cluster": "api", "timeout": "0s"}
