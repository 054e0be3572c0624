"""Tests of the client of a connection, out of the matches in which policies name clients.

A certificate of a mesh's CA carries one URI for each service and one for each tag; Envoy shows them joined by commas
(measured with Envoy 1.38), both to matchers and in `%DOWNSTREAM_PEER_URI_SAN%`. So an ID that can stand in such a
certificate is looked for with an expression over one member of the list; SPIFFE IDs and tags hold no comma, so members
cannot be forged. Every other ID comes from a MeshIdentity, alone in its certificate, and is compared as it is.
"""

import re
from collections.abc import Sequence

from kuma.envoy import api, names
from kuma.resources import targetref

_EVERYTHING = "(.*,)?{}(,.*)?"


def expression(client: targetref.SpiffeIdMatch, mesh: str) -> str:
    """A regular expression for the whole of what Envoy shows; empty where the ID is the whole itself."""
    of_mesh = names.spiffe_id(mesh, "")
    if client.type == "Prefix":
        if client.value.startswith(of_mesh) or of_mesh.startswith(client.value):
            return _EVERYTHING.format(re.escape(client.value) + "[^,]*")
    elif client.value.startswith(of_mesh):
        return _EVERYTHING.format(re.escape(client.value))
    return ""


def string_matcher(client: targetref.SpiffeIdMatch, mesh: str) -> api.Message:
    """The test of what `%DOWNSTREAM_PEER_URI_SAN%` says."""
    text = expression(client, mesh)
    if text:
        return api.StringMatcher(safe_regex=api.RegexMatcher(regex=text))
    return api.StringMatcher(**{client.type.lower(): client.value})


def predicate(match: targetref.Match, mesh: str) -> api.Message:
    """The test of a matcher that a connection passes if all that `match` says holds."""
    parts = []
    if match.spiffe_id is not None:
        parts.append(_single("envoy.matching.inputs.uri_san", api.UriSanInput(), _uri(match.spiffe_id, mesh)))
    if match.sni is not None:
        wanted = api.XdsStringMatcher(exact=match.sni.value)
        parts.append(_single("envoy.matching.inputs.server_name", api.ServerNameInput(), wanted))
    if len(parts) == 1:
        return parts[0]
    out = api.Predicate()
    out.and_matcher.predicate.extend(parts)
    return out


def any_of(predicates: Sequence[api.Message]) -> api.Message:
    """The test that a connection passes if it passes any of at least one."""
    if len(predicates) == 1:
        return predicates[0]
    out = api.Predicate()
    out.or_matcher.predicate.extend(predicates)
    return out


def _single(name: str, source: api.Message, wanted: api.Message) -> api.Message:
    out = api.Predicate()
    out.single_predicate.input.CopyFrom(api.XdsTypedExtensionConfig(name=name, typed_config=api.pack(source)))
    out.single_predicate.value_match.CopyFrom(wanted)
    return out


def _uri(client: targetref.SpiffeIdMatch, mesh: str) -> api.Message:
    text = expression(client, mesh)
    if text:
        regex = api.XdsRegexMatcher(regex=text)
        regex.google_re2.SetInParent()
        return api.XdsStringMatcher(safe_regex=regex)
    return api.XdsStringMatcher(**{client.type.lower(): client.value})
