"""Names of paths, against a mock registry and the real one."""

from __future__ import annotations

import pytest

from ringway.bench.mock import mock_catalog
from ringway.paths import PathSpec, UnknownPath, native_catalog, order_key


def test_options_come_in_the_registrys_order() -> None:
    spec = mock_catalog().parse("io_uring+defer+fixed+defer")
    assert spec == PathSpec("io_uring", ("fixed", "defer"))
    assert str(spec) == "io_uring+fixed+defer"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("io_urin", r"did you mean io_uring\?"),
        ("io_uring+fixd", r"did you mean io_uring\+fixed\?"),
        ("io_uring+zzz", "io_uring has: fixed, sqpoll"),
        ("posix+fixed", "the path posix has none"),
        ("", "unknown path ''"),
    ],
)
def test_unknown_words_get_a_suggestion(text: str, message: str) -> None:
    with pytest.raises(UnknownPath, match=message):
        mock_catalog().parse(text)


def test_schemes() -> None:
    catalog = mock_catalog()
    assert catalog.scheme_of("null:1GiB") == "null"
    assert catalog.scheme_of("a:b") is None
    assert [info.name for info in catalog.serving("null:1GiB")] == ["null"]
    assert [info.name for info in catalog.serving("file")] == ["io_uring", "libaio", "posix"]


def test_order() -> None:
    specs = [PathSpec("b"), PathSpec("a", ("x", "y")), PathSpec("a", ("z",)), PathSpec("a")]
    assert [str(spec) for spec in sorted(specs, key=order_key(["a", "b"]))] == [
        "a",
        "a+z",
        "a+x+y",
        "b",
    ]


def test_the_real_registry() -> None:
    catalog = native_catalog()
    assert {"null", "mem", "posix", "libaio", "io_uring"} <= set(catalog.names())
    assert catalog.parse("io_uring+fixed").options == ("fixed",)
    assert catalog.probe(PathSpec("null"), "null:1MiB", True, False) is None
    refusal = catalog.probe(PathSpec("posix"), "/nonexistent", True, False)
    assert refusal is not None
    assert "does not exist" in refusal
