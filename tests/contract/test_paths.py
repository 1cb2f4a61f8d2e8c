"""Every path with every set of its options opens here, or says why not."""

from __future__ import annotations

import pytest

import ringway
from ringway.paths import native_catalog


def test_it_opens_as_the_probe_says(any_case, targets):
    """The probe's reason is what opening raises, and the reason of the skip."""
    target = targets.of(any_case.kind)
    catalog = native_catalog()
    refusal = catalog.probe(catalog.parse(any_case.spec), target, any_case.direct, True)
    options = {"writable": True, "direct": any_case.direct}
    if refusal is None:
        with ringway.open(target, any_case.spec, **options) as dev:
            assert dev.readinto(0, dev.alloc(4096)) == 4096
        return
    with pytest.raises(ringway.RingwayError) as caught:
        ringway.open(target, any_case.spec, **options)
    assert caught.value.strerror == refusal
    pytest.skip(refusal)


def test_the_automatic_choice_is_explained(targets, block):
    with ringway.open(targets.of("file"), writable=True) as dev:
        assert dev.why.startswith("the best path that works here")
        assert dev.path in {info.name for info in native_catalog().serving(dev.target)}
        assert dev.readinto(0, dev.alloc(block)) == block


@pytest.mark.parametrize("kind", ["loop", "zram"])
def test_the_automatic_choice_takes_a_block_device(targets, block, kind):
    for _ in range(3):
        with ringway.open(targets.of(kind), writable=True) as dev:
            assert dev.write(0, dev.alloc(block)) == block


def test_a_scheme_chooses_its_path():
    for scheme in ("null", "mem"):
        with ringway.open(f"{scheme}:1MiB") as dev:
            assert (dev.path, dev.size, dev.writable) == (scheme, 1 << 20, True)
