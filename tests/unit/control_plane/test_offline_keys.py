"""Public keys in the configuration check tokens that were signed elsewhere, those of Dataplanes for one mesh each."""

from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest

from kuma.apps.control_plane import security
from kuma.apps.control_plane.settings import tree as settings
from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.security import keys
from kuma.services.trust import signing_keys, tokens
from kuma.store import memory


async def test_a_dataplane_token_signed_elsewhere_is_good_in_the_mesh_of_its_key(tmp_path) -> None:
    private = keys.new_rsa()
    (tmp_path / "key.pem").write_bytes(keys.public_pem(private.public_key()))
    config = tmp_path / "kuma.yaml"
    config.write_text(
        "dpServer: {authn: {dpProxy: {dpToken: {validator: {useSecrets: false, "
        f"publicKeys: [{{kid: ci, mesh: shop, keyFile: {tmp_path / 'key.pem'}}}]}}}}}}}}}}"
    )
    loaded = settings.load(str(config), {"HOME": str(tmp_path)}).settings
    checking = tokens.TokenValidator(
        signing_keys.SigningKeys(memory.MemoryStore()),
        lambda: datetime.now(UTC),
        dataplane=security.validator_config(loaded.dp_server.authn.dp_proxy.dp_token.validator),
    )
    token = jwt.encode({"Name": "web-1"}, private, algorithm="RS256", headers={"kid": "ci"})

    def proxy(mesh: str) -> res.Resource[dataplane.Dataplane]:
        return res.Resource(dataplane.KIND, res.Meta(mesh, "web-1"), dataplane.Dataplane())

    await checking.validate_dataplane(token, proxy("shop"))
    with pytest.raises(errors.Unauthenticated, match="no key with the key id"):
        await checking.validate_dataplane(token, proxy("other"))


@pytest.mark.parametrize("source", ["key: nonsense", "keyFile: /no/such/file"])
def test_a_key_that_cannot_be_read_stops_the_start_with_its_id(tmp_path: Path, source: str) -> None:
    config = tmp_path / "kuma.yaml"
    config.write_text(f"apiServer: {{authn: {{tokens: {{validator: {{publicKeys: [{{kid: ci, {source}}}]}}}}}}}}")
    loaded = settings.load(str(config), {"HOME": str(tmp_path)}).settings
    with pytest.raises(errors.BadRequest, match='the key "ci" cannot be used: '):
        security.validator_config(loaded.api_server.authn.tokens.validator)
