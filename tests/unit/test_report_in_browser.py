"""The HTML report as a person sees it: headless Chromium lays it out and draws it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ringway.bench.compare import run_plan
from ringway.bench.mock import Bystander, MockExecutor, mock_catalog
from ringway.bench.plan import CompareRequest, make_plan
from ringway.bench.report import to_html
from ringway.bench.workload import Workload

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to show the page")

WIDTH, HEIGHT = 1200, 4000
#: Chromium shall neither ask for a profile nor for the network.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matplotlib", reason="the page's pictures need matplotlib")
    plan = make_plan(CompareRequest("mock.bin", Workload(runtime=1.0)), mock_catalog({}))
    comparison = run_plan(plan, MockExecutor(), Bystander(), {"kernel": "6.1.0"}, [])
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(comparison))
    return path


def chromium(page: Path, *options: str) -> str:
    done = subprocess.run(
        [
            str(CHROMIUM),
            *OPTIONS,
            f"--user-data-dir={page.parent / 'profile'}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def pixels(page: Path) -> np.ndarray:
    """What is drawn: shape (height, width, 3), 0 to 1."""
    from matplotlib.image import imread

    shot = page.with_suffix(".png")
    chromium(page, f"--screenshot={shot}", f"--window-size={WIDTH},{HEIGHT}")
    return np.asarray(imread(shot))[..., :3]


def test_the_browser_keeps_every_section(page: Path) -> None:
    dom = chromium(page, "--dump-dom")
    text = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(style|script|svg).*?</\1>", " ", dom))
    for part in ("mock.bin", "io_uring", "posix", "IOPS", "CPU", "6.1.0"):
        assert part in text
    assert dom.count("<svg") >= 3, "a picture each of IOPS, latency and CPU"


def test_the_browser_draws_it(pixels: np.ndarray) -> None:
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    background = pixels[2, 2]
    drawn = np.abs(pixels - background).max(axis=2) > 0.1
    rows = np.flatnonzero(drawn.any(axis=1))
    assert rows[-1] - rows[0] > 1000, "the page is longer than a screen"
    columns = np.flatnonzero(drawn.any(axis=0))
    assert columns[0] > 5, "nothing touches the left edge"
    assert columns[-1] < WIDTH - 5, "nothing runs out of the window"


def test_the_pictures_have_colour(pixels: np.ndarray) -> None:
    saturation = pixels.max(axis=2) - pixels.min(axis=2)
    assert np.count_nonzero(saturation > 0.3) > 3000, "lines and bars in colour"
