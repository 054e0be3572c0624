"""Reading what a resource points at: a secret of the mesh, a file beside the control plane, or bytes in the resource.

Kuma's DataSource is an object with one of `secret`, `file`, `inline` (base64) and `inlineString`; newer kinds have a
SecureDataSource, which says the same in other words and knows variables of the environment besides.
"""

import os
import stat
from collections.abc import Mapping
from typing import Any

import msgspec

from kuma.base import errors
from kuma.resources import datasource
from kuma.resources import resource as res
from kuma.resources.kinds import secret, securedatasource
from kuma.store import protocol

MAX_FILE = 1024 * 1024
"""Bytes."""


def parse(value: Mapping[str, Any] | None) -> datasource.DataSource | None:
    """The data source of a conf; None where it is absent or names nothing. BadRequest where it is malformed."""
    if not value:
        return None
    try:
        source = msgspec.convert(value, datasource.DataSource)
    except msgspec.ValidationError as failure:
        raise errors.BadRequest(f"not a data source: {failure}") from None
    return None if source.is_empty else source


def secret_of(source: datasource.DataSource, mesh: str) -> res.Key | None:
    """The key of the secret that a source points at, if it does."""
    return res.Key(secret.KIND.name, mesh, source.secret) if source.secret else None


async def read(store: protocol.Store, source: datasource.DataSource, mesh: str) -> bytes:
    """The bytes; NotFound for an absent secret or file, BadRequest for a file that cannot be read."""
    key = secret_of(source, mesh)
    if key is not None:
        try:
            found: res.Resource[secret.Secret] = await store.get(key)
        except errors.NotFound:
            raise errors.NotFound(f'there is no Secret "{source.secret}" in mesh "{mesh}"') from None
        return found.spec.data
    if source.file:
        return _read_file(source.file)
    return source.inline or (source.inline_string or "").encode()


async def read_secure(
    store: protocol.Store, source: securedatasource.SecureDataSource, mesh: str, environ: Mapping[str, str]
) -> bytes:
    """As `read`, for the form of newer kinds; NotFound for an absent variable, too."""
    if source.env_var is not None:
        text = environ.get(source.env_var.name)
        if text is None:
            raise errors.NotFound(f"there is no variable {source.env_var.name}")
        return text.encode()
    plain = datasource.DataSource(
        secret=source.secret_ref.name if source.secret_ref is not None else None,
        file=source.file.path if source.file is not None else None,
        inline_string=source.insecure_inline.value if source.insecure_inline is not None else None,
    )
    return await read(store, plain, mesh)


def _read_file(path: str) -> bytes:
    """Certificates and keys are small and local, so nobody waits; whoever names a device or a pipe is refused."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise errors.BadRequest(f"{path} is not a regular file")
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise errors.NotFound(f"there is no file {path}") from None
    except OSError as failure:
        raise errors.BadRequest(f"could not read {path}: {failure.strerror}") from None
    if len(content) > MAX_FILE:
        raise errors.BadRequest(f"{path} is larger than {MAX_FILE} bytes")
    return content


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
