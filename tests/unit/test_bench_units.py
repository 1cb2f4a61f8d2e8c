"""Sizes, times and counts, read and written; the nearest word."""

from __future__ import annotations

import pytest

from ringway.bench.units import (
    format_bandwidth,
    format_bs,
    format_count,
    format_ns,
    format_ratio,
    format_seconds,
    format_size,
    parse_duration,
    parse_size,
)
from ringway.nearest import nearest, unknown


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("4k", 4096),
        ("4K", 4096),
        ("4kb", 4096),
        ("4KiB", 4096),
        ("1MiB", 1 << 20),
        ("1m", 1 << 20),
        ("2g", 2 << 30),
        ("1.5k", 1536),
        (" 64k ", 65536),
        ("1t", 1 << 40),
        (512, 512),
    ],
)
def test_sizes_are_read_as_fio_reads_them(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "4x", "-1", "4 k b", "1.5", "four"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|whole number"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1min", 60.0),
        ("10us", 1e-5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="500ms"):
        parse_duration("3 fortnights")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (7.25, "7.25"),
        (820.4, "820"),
        (999.7, "1.00k"),
        (82_140, "82.1k"),
        (1_214_000, "1.21M"),
        (99_960, "100k"),
    ],
)
def test_counts_have_three_digits(value: float, text: str) -> None:
    assert format_count(value) == text


def test_other_figures() -> None:
    assert format_ns(812) == "812 ns"
    assert format_ns(4_210) == "4.21 µs"
    assert format_ns(3_360_000) == "3.36 ms"
    assert format_size(4096) == "4 KiB"
    assert format_size(1536) == "1.5 KiB"
    assert format_bs(4096) == "4k"
    assert format_bs(1 << 20) == "1m"
    assert format_bs(512) == "512"
    assert format_bandwidth(312e6) == "312 MB/s"
    assert format_seconds(190) == "3 min 10 s"
    assert format_seconds(60) == "1 min"
    assert format_ratio(1.034) == "1.03×"
    assert format_ratio(11.24) == "11.2×"


def test_the_nearest_word() -> None:
    assert nearest("io_urin", ["posix", "io_uring"]) == "io_uring"
    assert nearest("zzz", ["posix"]) is None
    known = ["posix", "libaio"]
    assert unknown("path", "posx", known) == "unknown path 'posx'; did you mean posix?"
    assert unknown("path", "zzz", ["b", "a"]) == "unknown path 'zzz'; there are: a, b"
