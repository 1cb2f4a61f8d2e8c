"""The page, its pictures and the tables, from a comparison over the mock."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console, RenderableType

from ringway.bench.compare import run_plan
from ringway.bench.executor import RunSpec
from ringway.bench.mock import Bystander, MockExecutor, mock_catalog
from ringway.bench.plan import CompareRequest, make_plan
from ringway.bench.record import BenchDocument, Comparison, CpuPerIo, Measurement, Warning
from ringway.bench.report import bench_view, comparison_view, plotting_missing, to_html
from ringway.bench.workload import Workload

ENVIRONMENT = {
    "kernel": "6.1.0",
    "cpu": "A <CPU> & more",
    "device": "nvme0n1",
    "rotational": False,
    "mitigations": ["spectre_v1: Mitigation: fences"],
    "memory": 1 << 34,
}


def comparison(**fields: object) -> Comparison:
    request = CompareRequest("<target>", Workload(runtime=1.0), **fields)  # type: ignore[arg-type]
    plan = make_plan(request, mock_catalog({"io_uring+iopoll": "no poll queues <here>"}))
    warning = Warning("busy", "the machine was busy", "wait")
    return run_plan(plan, MockExecutor(), Bystander(), dict(ENVIRONMENT), [warning])


def shown(view: RenderableType, width: int = 120) -> str:
    console = Console(width=width, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


# ---------------------------------------------------------------- terminal


def test_the_table_tells_all() -> None:
    text = shown(comparison_view(comparison()))
    for part in (
        "<target>",
        "O_DIRECT, 4k random reads, depth 32",
        "fio psync",
        "vs posix",
        "The device",
        "Left out",
        "no poll queues <here>",
        "warning the machine was busy",
        "In short",
        "32.0×",
    ):
        assert part in text


def test_the_table_fits_a_narrow_terminal() -> None:
    text = shown(comparison_view(comparison()), 80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "calls/IO" not in text


def test_an_interrupted_comparison_says_so() -> None:
    stopped = msgspec.structs.replace(comparison(), interrupted=True)
    assert "Interrupted" in shown(comparison_view(stopped))


def test_one_run() -> None:
    measured = MockExecutor().run(RunSpec("f", "io_uring+fixed", Workload()), lambda _: True)
    fields = {name: getattr(measured, name) for name in Measurement.__struct_fields__}
    text = shown(bench_view(BenchDocument(**fields, environment={})))
    for part in ("f over io_uring+fixed", "320k", "p99.9", "2.00 µs: user 400 ns", "960,000"):
        assert part in text


# ---------------------------------------------------------------- page


@pytest.fixture(scope="module")
def page() -> str:
    pytest.importorskip("matplotlib")
    return to_html(comparison())


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = frozenset({"meta", "br", "link", "img", "path", "use", "stop", "circle", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed(page: str) -> None:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []


def test_the_page_needs_no_network(page: str) -> None:
    body = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?://", body)
    assert not re.search(r"<(script|link|iframe)\b", body)
    assert not re.search(r"url\((?!#)", body)


def test_the_page_says_what_matters(page: str) -> None:
    for part in (
        "In short",
        "The device is the limit",
        "IOPS over depth",
        "Latency percentiles",
        "CPU per I/O",
        "Left out",
        "Environment",
        "The machine was busy",
        "How to read this",
        "Every run, in order",
        "spectre_v1",
        "16 GiB",
    ):
        assert part in page


def test_text_from_outside_is_escaped(page: str) -> None:
    assert "<target>" not in page
    assert "&lt;target&gt;" in page
    assert "A &lt;CPU&gt; &amp; more" in page
    assert "no poll queues &lt;here&gt;" in page


def test_pictures_are_text_with_a_description(page: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    for svg in pictures:
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert len(root.get("aria-label") or "") > 40
        assert "io_uring" in "".join(root.itertext())


def test_colours_follow_the_page(page: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    used = set(re.findall(r"var\((--[\w-]+)\)", pictures))
    assert {"--ink", "--muted", "--grid", "--cpu-system", "--s0"} <= used
    assert used <= set(re.findall(r"(--[\w-]+):", page))
    assert not re.search(r"#0a0[ab]", pictures)
    assert "prefers-color-scheme: dark" in page


def test_a_page_of_nothing() -> None:
    pytest.importorskip("matplotlib")
    empty = msgspec.structs.replace(
        comparison(), cells=[], verdicts=[], runs=[], summary=[], interrupted=True
    )
    text = to_html(empty)
    assert "Nothing was measured" in text
    assert "Interrupted" in text


def test_a_page_of_many_settings() -> None:
    pytest.importorskip("matplotlib")
    found = comparison(
        depths=(1, 2, 4, 8),
        patterns=("read", "randread"),
        buffering=("direct",),
        paths=["posix"],
        repetitions=1,
    )
    found.cells[0].cpu_ns_per_io = None
    found.cells[1].latency_ns = None
    found.cells[2].cpu_ns_per_io = CpuPerIo(user=0.0, system=0.0, helpers=1e9)
    text = to_html(found)
    assert "O_DIRECT, 4k sequential reads, depth 8" in text


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringway.bench.report.html.find_spec", lambda _: None)
    assert "pip install 'ringway[plot]'" in (plotting_missing() or "")
