"""Controllers as they are read from a tree."""

from __future__ import annotations

import pytest

from ringway.errors import ArgumentError
from ringway.nvme.host import Host, pci_address
from ringway.nvme.sysfs import Namespace, controllers, read_controller


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:01:00.0", "0000:01:00.0"),
        ("01:00.0", "0000:01:00.0"),
        ("0000:C1:1F.7", "0000:c1:1f.7"),
        ("10000:01:00.0", "10000:01:00.0"),
    ],
)
def test_addresses_are_written_as_sysfs_does(text: str, address: str) -> None:
    assert pci_address(text) == address


@pytest.mark.parametrize("text", ["", "nvme0", "01:20.0", "01:00.8", "../01:00.0", "1:0.0"])
def test_no_address(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no PCI address"):
        pci_address(text)


def test_only_nvme_controllers_count(tree, host) -> None:
    tree.controller()
    tree.device("0000:02:00.0", "0x010601", "ahci", "8")
    assert [found.pci for found in controllers(host)] == ["0000:01:00.0"]


def test_a_machine_without_pci(tmp_path) -> None:
    assert controllers(Host(tmp_path, tmp_path, tmp_path)) == []


def test_a_controller_with_its_driver(tree, host) -> None:
    folder = tree.controller(blocks=("nvme0n1", "nvme0n2"))
    tree.write(f"{folder}/numa_node", "1\n")
    found = read_controller(host, "0000:01:00.0")
    assert (found.driver, found.name, found.model, found.serial) == (
        "nvme",
        "nvme0",
        "Fast Drive",
        "S1",
    )
    assert (found.iommu_group, found.group, found.numa_node) == ("7", [], 1)
    assert found.driver_override is None
    assert found.namespaces[1] == Namespace(
        nsid=2, block="nvme0n2", character="ng0n2", size=1 << 20, block_size=512
    )
    assert found.nodes() == ["nvme0", "nvme0n1", "ng0n1", "nvme0n2", "ng0n2"]
    assert found.title() == "0000:01:00.0 (Fast Drive, S1)"


def test_a_controller_without_a_driver_or_iommu(tree, host) -> None:
    tree.controller(driver=None, group=None)
    found = read_controller(host, "0000:01:00.0")
    assert (found.driver, found.iommu_group, found.numa_node) == (None, None, None)
    assert (found.namespaces, found.title()) == ([], "0000:01:00.0")


def test_what_else_is_in_the_group(tree, host) -> None:
    tree.controller()
    tree.device("0000:00:1c.0", "0x060400", "pcieport", "7")
    tree.device("0000:01:00.1", "0x020000", "e1000e", "7")
    bridge, network = read_controller(host, "0000:01:00.0").group
    assert (bridge.pci, bridge.bridge, bridge.driver) == ("0000:00:1c.0", True, "pcieport")
    assert (network.pci, network.bridge, network.driver) == ("0000:01:00.1", False, "e1000e")


def test_several_controllers_of_one_namespace(tree, host) -> None:
    """The controller's own path is hidden; the block device belongs to the subsystem."""
    folder = tree.controller(blocks=())
    tree.write(f"{folder}/nvme/nvme0/state", "live\n")
    tree.write(f"{folder}/nvme/nvme0/nvme3c0n2/nsid", "2\n")
    tree.block("nvme3n2", "259:9", size=16)
    tree.write("sys/class/nvme-generic/ng3n2/dev", "245:1\n")
    (space,) = read_controller(host, "0000:01:00.0").namespaces
    assert (space.block, space.character, space.path) == ("nvme3n2", "ng3n2", "nvme3c0n2")
    assert (space.nsid, space.size) == (2, 8192)


def test_a_namespace_for_passthrough_alone(tree, host) -> None:
    folder = tree.controller(blocks=())
    tree.write(f"{folder}/nvme/nvme0/ng0n1/dev", "245:0\n")
    (space,) = read_controller(host, "0000:01:00.0").namespaces
    assert (space.block, space.character, space.nsid) == (None, "ng0n1", None)


def test_functions(tree, host) -> None:
    tree.write(f"{tree.controller()}/sriov_numvfs", "4\n")
    virtual = tree.controller("0000:01:00.1", "nvme1", blocks=())
    tree.link(f"{virtual}/physfn", "../0000:01:00.0")
    physical, function = controllers(host)
    assert (physical.virtual_functions, physical.physical_function) == (4, None)
    assert (function.virtual_functions, function.physical_function) == (0, "0000:01:00.0")
