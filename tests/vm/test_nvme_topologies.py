"""Listing and binding on machines of other kinds: shared namespaces, no driver, no IOMMU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringway import UnsupportedError
from ringway.cli.app import run
from ringway.nvme import Lender, Wish, controllers

VFIO = Wish()


@pytest.mark.emulated_nvme(topology="many")
def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nvme", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["controllers"]
    assert len(found) == 5
    assert {entry["iommu_group"] for entry in found} != {None}
    several = next(entry for entry in found if entry["serial"] == "SEVERAL")
    assert [space["nsid"] for space in several["namespaces"]] == [1, 2, 7]
    assert [space["block_size"] for space in several["namespaces"]] == [512, 4096, 512]
    assert [entry["driver"] for entry in found].count(None) == 1


@pytest.mark.emulated_nvme(topology="many")
def test_a_controller_without_a_driver_is_one_again_afterwards() -> None:
    lender = Lender()
    (found,) = (entry for entry in controllers(lender.host) if entry.driver is None)
    assert lender.bind(found.pci, VFIO).before is None
    assert lender.unbind(found.pci).driver is None
    again = next(entry for entry in controllers(lender.host) if entry.pci == found.pci)
    assert again.driver_override == found.driver_override


@pytest.mark.emulated_nvme(topology="two_ways.toml")
def test_one_of_two_ways_to_a_namespace() -> None:
    """In a machine of its own: elsewhere other tests may have detached the namespace."""
    lender = Lender()
    first, second = controllers(lender.host)
    (block,) = {space.block for entry in (first, second) for space in entry.namespaces}
    assert [space.path is None for space in first.namespaces] == [False]
    lender.bind(first.pci, VFIO)
    node = Path("/dev", block or "")
    assert node.is_block_device(), "the other way is left"
    back = lender.unbind(first.pci)
    assert (back.driver, back.notes) == ("nvme", [])
    assert [len(entry.namespaces) for entry in controllers(lender.host)] == [1, 1]
    assert node.is_block_device()


@pytest.mark.emulated_nvme(topology="no-iommu")
def test_without_an_iommu() -> None:
    lender = Lender()
    (found,) = controllers(lender.host)
    assert found.iommu_group is None
    with pytest.raises(UnsupportedError, match="--unsafe-no-iommu"):
        lender.bind(found.pci, VFIO)
    try:
        bound = lender.bind(found.pci, Wish(unsafe_no_iommu=True))
    except UnsupportedError as error:
        assert "CONFIG_VFIO_NOIOMMU" in error.strerror or "no driver vfio-pci" in error.strerror
    else:
        assert (bound.node or "").startswith("/dev/vfio/noiommu-")
        assert lender.unbind(found.pci).driver == "nvme"


@pytest.mark.emulated_nvme(topology="no-iommu")
def test_uio() -> None:
    lender = Lender()
    (found,) = controllers(lender.host)
    wish = Wish(driver="uio_pci_generic", unsafe_no_iommu=True)
    try:
        bound = lender.bind(found.pci, wish)
    except UnsupportedError as error:
        pytest.skip(error.strerror)
    assert (bound.node or "").startswith("/dev/uio")
    assert lender.unbind(found.pci).driver == "nvme"


@pytest.mark.emulated_nvme(topology="sriov")
def test_virtual_functions_go_first() -> None:
    lender = Lender()
    found = next(
        entry
        for entry in controllers(lender.host)
        if (lender.host.devices / entry.pci / "sriov_totalvfs").exists()
    )
    switch = lender.host.devices / found.pci / "sriov_numvfs"
    switch.write_text("2")
    try:
        with pytest.raises(OSError, match="2 virtual functions of it are switched on"):
            lender.bind(found.pci, VFIO)
    finally:
        switch.write_text("0")
    lender.bind(found.pci, VFIO)
    assert lender.unbind(found.pci).driver == "nvme"
