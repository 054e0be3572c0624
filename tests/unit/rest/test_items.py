"""Rendered items are kept for a version, and no more of them than fit."""

import json
from typing import Any

from kuma.resources import resource as res
from kuma.resources.kinds import mesh, secret
from kuma.servers.rest import items


def a_mesh(name: str, version: int, *skipped: str) -> res.Resource[Any]:
    return res.Resource(
        mesh.KIND, res.Meta("", name, version=version), mesh.Mesh(skip_creating_initial_policies=skipped)
    )


def test_an_item_is_rendered_once_a_version() -> None:
    rendered = items.Items()
    first = rendered.resource(a_mesh("a", 1))
    assert rendered.resource(a_mesh("a", 1)) is first
    assert rendered.resource(a_mesh("a", 2, "X")) != first


def test_what_was_never_stored_is_rendered_anew() -> None:
    rendered = items.Items()
    assert rendered.resource(a_mesh("a", 0)) != rendered.resource(a_mesh("a", 0, "X"))


def test_the_least_recently_used_goes_first() -> None:
    rendered = items.Items(limit=1)
    first = rendered.resource(a_mesh("a", 1))
    rendered.resource(a_mesh("b", 2))
    assert rendered.resource(a_mesh("a", 1)) is not first


def test_secrets_are_not_kept() -> None:
    rendered = items.Items()
    value: res.Resource[Any] = res.Resource(secret.KIND, res.Meta("m", "s", version=1), secret.Secret(data=b"x"))
    assert rendered.resource(value) is not rendered.resource(value)


def test_single_and_list_show_the_same() -> None:
    rendered = items.Items()
    item = rendered.resource(a_mesh("a", 1, "X"))
    single = b"".join(items.single_reply(item).parts)
    listed = b"".join(items.list_reply(1, [item], None).parts)
    document = json.loads(single)
    assert single.decode() == json.dumps(document, indent=1) + "\n"
    assert listed.decode() == json.dumps({"total": 1, "items": [document], "next": None}, indent=1) + "\n"
