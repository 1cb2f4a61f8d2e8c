"""The documentation holds: its Python runs, its C compiles, its commands parse, its links lead on.

A ```python block runs in a namespace of its own; ```python continued goes on in that of the block
above it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

import ringway
from ringway.bench.configs import workload_names
from ringway.bench.record import Comparison, Measurement, Verdict
from ringway.bench.workload import Workload
from ringway.cli.app import cli
from ringway.paths import native_catalog

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<words>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_PLACE = re.compile(r"`((?:native|src|tests|configs|bench|docs)/[\w./-]*)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass
class Example:
    """Blocks that share a namespace, with the lines before each to keep its place."""

    page: Path
    line: int
    sources: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[tuple[str, int, str]]:
    """What stands behind each opening fence, the line of the fence, and the text inside."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        yield fence["words"], text.count("\n", 0, fence.start()) + 1, fence["text"]


def examples(language: str) -> list[Example]:
    found: list[Example] = []
    for page in PAGES:
        for words, line, text in blocks(page):
            if words == language:
                found.append(Example(page, line))
            elif words != f"{language} continued":
                continue
            # Empty lines in front give every error the line it has on the page.
            found[-1].sources.append("\n" * line + text)
    return found


def commands() -> list[tuple[str, str]]:
    """Every ``ringway …`` line of a console block."""
    return [
        (str(page.relative_to(ROOT)), line.removeprefix("$ "))
        for page in PAGES
        for words, _, text in blocks(page)
        if words == "console"
        for line in text.splitlines()
        if line.startswith("$ ringway ")
    ]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, on a file system that knows O_DIRECT."""
    monkeypatch.chdir(tmp_path)
    probe = tmp_path / "probe"
    probe.write_bytes(bytes(4096))
    try:
        ringway.open(probe).close()
    except ringway.UnsupportedError as error:
        pytest.skip(str(error))
    probe.unlink()
    return tmp_path


@pytest.mark.parametrize("example", examples("python"), ids=str)
@pytest.mark.usefixtures("workplace")
def test_python_runs(example: Example) -> None:
    namespace = {"__name__": "__main__"}
    for source in example.sources:
        exec(compile(source, str(example.page), "exec"), namespace)


@pytest.mark.parametrize("example", examples("c"), ids=str)
def test_c_compiles(example: Example, tmp_path: Path) -> None:
    """Against the headers of the core, with the warnings that are errors there."""
    source = tmp_path / "example.c"
    source.write_text(example.sources[0])
    strict = ["-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only"]
    places = [f"-I{ROOT / 'native'}", f"-I{ROOT / 'native/include'}"]
    done = subprocess.run(["cc", *strict, *places, source], capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize(("page", "line"), commands())
@pytest.mark.usefixtures("workplace")
def test_command_parses(page: str, line: str) -> None:
    """Options that are gone or misspelt fail here; nothing is run."""
    Path("report.json").touch()
    alone = re.split(r" [|>] ", line)[0]
    name, *arguments = shlex.split(alone, comments=True)[1:]
    context = cli.commands[name].make_context(name, arguments)
    assert context.info_name == name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for place, heading in _LINK.findall(text):
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{place} is not there"
        if heading:
            assert heading in anchors(target), f"{place}#{heading} is not there"
    for place in _PLACE.findall(text):
        assert (ROOT / place).exists(), f"{place} is not there"


def anchors(page: Path) -> set[str]:
    """Headings as the fragments of links."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def options_of(command: str) -> list[str]:
    """The first name of each option, as it is typed."""
    return [
        parameter.opts[0]
        for parameter in cli.commands[command].params
        if isinstance(parameter, click.Option)
    ]


def subjects() -> Iterator[tuple[str, str, list[str]]]:
    """What a page must name: its subject, the page, the words."""
    for info in native_catalog().paths:
        yield info.name, f"docs/paths/{info.name}.md", list(info.options)
        yield f"{info.name} in the README", "README.md", [info.name]
    yield "public names", "docs/api.md", ringway.__all__
    yield "commands", "docs/README.md", list(cli.commands)
    yield "options of bench", "docs/benchmark.md", options_of("bench")
    yield "options of compare", "docs/benchmark.md", options_of("compare")
    yield "options of vm", "docs/emulated-nvme.md", options_of("vm")
    yield "workloads", "docs/benchmark.md", workload_names()
    yield "keys of a workload", "docs/benchmark.md", list(Workload.__struct_fields__)
    for document in (Measurement, Comparison, Verdict):
        names = list(document.__struct_fields__)
        yield f"fields of {document.__name__}", "docs/benchmark.md", names


@pytest.mark.parametrize(
    ("page", "words"),
    [pytest.param(page, words, id=subject) for subject, page, words in subjects()],
)
def test_nothing_is_undocumented(page: str, words: list[str]) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not [word for word in words if not re.search(rf"(?<!\w){re.escape(word)}\b", text)]
