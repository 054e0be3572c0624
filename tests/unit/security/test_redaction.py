"""Secrets leave a config dump, everything else stays."""

import json

import pytest

from kuma.base import errors
from kuma.security import redaction


def _redacted(tree: object) -> object:
    return json.loads(redaction.redact_config_dump(json.dumps(tree).encode()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"initial_metadata": [{"key": "authorization", "value": "t"}, {"key": "x", "value": "y"}]},
            {"initial_metadata": [{"key": "authorization", "value": "[redacted]"}, {"key": "x", "value": "y"}]},
        ),
        (
            [{"a": {"initialMetadata": [{"key": "Authorization", "value": "t"}]}}],
            [{"a": {"initialMetadata": [{"key": "Authorization", "value": "[redacted]"}]}}],
        ),
        (
            {"private_key": {"inline_bytes": "c2VjcmV0"}, "certificate_chain": {"inline_bytes": "Y2VydA=="}},
            {"private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="}, "certificate_chain": {"inline_bytes": "Y2VydA=="}},
        ),
        ({"privateKey": {"inlineString": "s"}}, {"privateKey": {"inlineString": "[redacted]"}}),
        ({"private_key": {"filename": "/key.pem"}}, {"private_key": {"filename": "/key.pem"}}),
        ({"call_credentials": [{"access_token": "t"}]}, {"call_credentials": [{"access_token": "[redacted]"}]}),
        (
            {"trusted_ca": {"inline_bytes": "Y2E="}, "n": 1, "f": 0.5, "z": None, "l": []},
            {"trusted_ca": {"inline_bytes": "Y2E="}, "n": 1, "f": 0.5, "z": None, "l": []},
        ),
        ({"initial_metadata": "odd", "private_key": "odd"}, {"initial_metadata": "odd", "private_key": "odd"}),
    ],
)
def test_redaction(before: object, after: object):
    assert _redacted(before) == after


def test_what_is_no_json_is_refused():
    with pytest.raises(errors.BadRequest):
        redaction.redact_config_dump(b"<html>")
