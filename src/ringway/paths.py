"""The paths and options there are, and which of them a user named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from .nearest import nearest, unknown

SEPARATOR = "+"


@dataclass(frozen=True)
class PathInfo:
    """A path of the registry; `scheme` is the target prefix it serves, None: files and devices."""

    name: str
    summary: str
    scheme: str | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PathSpec:
    """A path with its options, written ``io_uring+fixed+defer``."""

    name: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return SEPARATOR.join((self.name, *self.options))


class UnknownPath(ValueError):
    """A path or option that does not exist; the text suggests the nearest."""


#: Can this path serve this target: None, or why not and what to do about it.
Probe = Callable[["PathSpec", str, bool, bool], "str | None"]


@dataclass(frozen=True)
class Catalog:
    """The registry as Python sees it, with the question whether a path is usable."""

    paths: tuple[PathInfo, ...]
    #: ``probe(spec, target, direct, writable)``
    probe: Probe

    def names(self) -> list[str]:
        return [info.name for info in self.paths]

    def parse(self, text: str) -> PathSpec:
        """``io_uring+fixed`` as a PathSpec, its options in the registry's order.

        Raises UnknownPath.
        """
        name, *options = text.strip().split(SEPARATOR)
        info = self._info(name)
        for option in options:
            if option not in info.options:
                raise UnknownPath(_unknown_option(info, option))
        return PathSpec(name, tuple(option for option in info.options if option in options))

    def serving(self, target: str) -> list[PathInfo]:
        """Paths whose kind of target this is, usable here or not."""
        scheme = self.scheme_of(target)
        return [info for info in self.paths if info.scheme == scheme]

    def scheme_of(self, target: str) -> str | None:
        """``null`` for ``null:1GiB``; None for the name of a file or device."""
        prefix, colon, _ = target.partition(":")
        return prefix if colon and prefix in {info.scheme for info in self.paths} else None

    def _info(self, name: str) -> PathInfo:
        for info in self.paths:
            if info.name == name:
                return info
        raise UnknownPath(unknown("path", name, self.names()))


def _unknown_option(info: PathInfo, option: str) -> str:
    if not info.options:
        return f"unknown option {option!r}; the path {info.name} has none"
    close = nearest(option, info.options)
    hint = (
        f"did you mean {info.name}{SEPARATOR}{close}?"
        if close
        else (f"{info.name} has: {', '.join(info.options)}")
    )
    return f"unknown option {option!r} of the path {info.name}; {hint}"


def order_key(names: Iterable[str]) -> Callable[[PathSpec], tuple[int, int, str]]:
    """Sorts specs by the registry's order of paths, then by how many options they have."""
    place = {name: index for index, name in enumerate(names)}
    return lambda spec: (place.get(spec.name, len(place)), len(spec.options), str(spec))


@cache
def native_catalog() -> Catalog:
    """The compiled core's registry."""
    from ringway._native import lib

    paths: list[PathInfo] = []
    while info := lib.rw_path_at(len(paths)):
        paths.append(
            PathInfo(
                name=_text(info.name) or "",
                summary=_text(info.summary) or "",
                scheme=_text(info.scheme),
                options=_native_options(len(paths)),
            )
        )
    return Catalog(tuple(paths), _native_probe)


def _native_options(path: int) -> dict[str, str]:
    from ringway._native import lib

    options: dict[str, str] = {}
    while info := lib.rw_path_option_at(path, len(options)):
        options[_text(info.name) or ""] = _text(info.summary) or ""
    return options


def _native_probe(spec: PathSpec, target: str, direct: bool, writable: bool) -> str | None:
    from ringway._native import ffi, lib

    held = [ffi.new("char[]", word.encode()) for word in (target, spec.name)]
    request = ffi.new(
        "struct rw_open_request *",
        {
            "target": held[0],
            "path": held[1],
            "options": option_bits(spec),
            "writable": writable,
            "direct": direct,
        },
    )
    return None if lib.rw_probe(request) == 0 else _text(lib.rw_detail())


def _native_bits(name: str) -> Iterator[tuple[str, int]]:
    """Each option of a path and the bit that stands for it."""
    from ringway._native import lib

    path, index = native_catalog().names().index(name), 0
    while info := lib.rw_path_option_at(path, index):
        yield _text(info.name) or "", int(info.bit)
        index += 1


def option_bits(spec: PathSpec) -> int:
    """The spec's options as the core takes them."""
    return sum(bit for option, bit in _native_bits(spec.name) if option in spec.options)


def options_in(name: str, bits: int) -> tuple[str, ...]:
    """The options of that path whose bits are set."""
    return tuple(option for option, bit in _native_bits(name) if bits & bit)


def _text(pointer: object) -> str | None:
    from ringway._native import ffi

    return ffi.string(pointer).decode() if pointer else None
