"""Broken JSON is refused in the words of Go's encoding/json."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.base import errors
from kuma.resources import json_documents

OBJECT_KEY = "looking for beginning of object key string"
VALUE = "looking for beginning of value"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a', "unexpected end of JSON input"),
        (b"[" * 3000, "unexpected end of JSON input"),
        (b"{,\n}", f"invalid character ',' {OBJECT_KEY}"),
        (b'{"a":1,}', "invalid character '}' " + OBJECT_KEY),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b"[1,]", f"invalid character ']' {VALUE}"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"nul1", "invalid character '1' in literal null (expecting 'l')"),
        (b"-a", "invalid character 'a' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1ex", "invalid character 'x' in exponent of numeric literal"),
        (b'"\\q"', "invalid character 'q' in string escape code"),
        (b'"\\u00x0"', "invalid character 'x' in \\u hexadecimal character escape"),
        (b'"\n"', "invalid character '\\n' in string literal"),
        (b"{'a':1}", f"invalid character '\\'' {OBJECT_KEY}"),
        (b"NaN", f"invalid character 'N' {VALUE}"),
        (b"[]", "json: cannot unmarshal array into Go value of type v1alpha1.ResourceMeta"),
        (b'"text"', "json: cannot unmarshal string into Go value of type v1alpha1.ResourceMeta"),
    ],
)
def test_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        json_documents.parse("Mesh", raw)
    quoted = reason.replace("\\", "\\\\").replace('"', '\\"')
    assert str(refused.value) == f'invalid Mesh object: "{quoted}"'


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists)
    )
)
def test_sound_json_is_read(document: dict[str, object]) -> None:
    assert json_documents.parse("Mesh", json.dumps(document).encode()) == document


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused(raw: bytes) -> None:
    try:
        found = json_documents.parse("Mesh", raw)
    except errors.BadRequest:
        return
    assert found == json.loads(raw)
