"""What stands against a binding, rule by rule."""

from __future__ import annotations

import errno

import pytest

from ringway.errors import ArgumentError, BusyError, NotFoundError
from ringway.nvme.descriptors import open_devices
from ringway.nvme.rules import Wish, examine, refuse, require
from ringway.nvme.sysfs import read_controller

PCI = "0000:01:00.0"
VFIO = Wish()
UIO = Wish(driver="uio_pci_generic")


@pytest.fixture
def against(host):
    """The codes and texts of what stands against a wish."""

    def look(wish: Wish = VFIO) -> list[tuple[int, str]]:
        found = examine(host, read_controller(host, PCI), wish, open_devices(host))
        return [(hindrance.code, hindrance.text) for hindrance in found]

    return look


def test_nothing(tree, against) -> None:
    tree.controller()
    assert against() == []


def test_it_must_be_there_and_a_controller(tree, host) -> None:
    tree.controller()
    tree.device("0000:02:00.0", "0x020000", "e1000e")
    with pytest.raises(NotFoundError, match=f"NVMe controllers here: {PCI}"):
        require(host, "0000:03:00.0")
    with pytest.raises(ArgumentError, match=r"no NVMe controller \(class 0x020000"):
        require(host, "0000:02:00.0")
    require(host, PCI)


def test_the_root_file_system_comes_first(tree, against) -> None:
    tree.controller(blocks=("nvme0n1", "nvme0n2"))
    tree.mountinfo(
        "9 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw", "1 0 259:1 / / rw - ext4 /dev/nvme0n2 rw"
    )
    found = against()
    assert [code for code, _ in found] == [errno.EBUSY] * 2
    assert found[0][1].startswith("the root file system lies on nvme0n2: it cannot be given away")
    assert found[1][1] == "nvme0n1 is mounted at /srv: unmount it first"


def test_virtual_functions_go_with_it(tree, against) -> None:
    tree.write(f"{tree.controller()}/sriov_numvfs", "2\n")
    ((code, text),) = against()
    assert (code, "write 0 to" in text) == (errno.EBUSY, True)


def test_drivers_that_cannot_be_looked_into(tree, against) -> None:
    tree.controller(driver="xen-pciback")
    ((code, text),) = against()
    assert code == errno.EOPNOTSUPP
    assert text.startswith("xen-pciback drives it")


@pytest.mark.parametrize(
    ("class_code", "driver", "viable"),
    [
        ("0x060400", "pcieport", True),
        ("0x020000", None, True),
        ("0x020000", "vfio-pci", True),
        ("0x020000", "pci-stub", True),
        ("0x020000", "e1000e", False),
        ("0x010802", "nvme", False),
        ("0x060100", "lpc_ich", False),
    ],
)
def test_the_rest_of_the_group(tree, against, class_code, driver, viable) -> None:
    tree.controller()
    tree.device("0000:01:00.1", class_code, driver, "7")
    found = against()
    assert (not found) is viable
    if not viable:
        assert f"in use by the driver {driver}" in found[0][1]


def test_a_group_that_a_program_has_open(tree, host, against) -> None:
    tree.controller()
    node = tree.write("dev/vfio/7")
    tree.process(42, str(node), name="spdk_tgt")
    assert against() == [(errno.EBUSY, "process 42 (spdk_tgt) has /dev/vfio/7 open: end it first")]


def test_a_group_that_is_open_unseen(tree, against) -> None:
    tree.controller()
    tree.write("dev/vfio/7")
    tree.hidden.add("7")
    assert "it seems by a process that cannot be seen" in against()[0][1]
    tree.process(42, "anon_inode:[vfio-device]")
    assert "it seems by process 42 (fio)" in against()[0][1]


# ---------------------------------------------------------------- protection


def test_without_an_iommu_it_must_be_asked_for(tree, against) -> None:
    tree.controller(group=None)
    ((code, text),) = against()
    assert code == errno.EOPNOTSUPP
    assert "read and write all memory" in text
    assert "--unsafe-no-iommu" in text
    assert against(Wish(unsafe_no_iommu=True)) == []
    assert "uses no IOMMU" in against(UIO)[0][1]
    assert against(Wish(driver="uio_pci_generic", unsafe_no_iommu=True)) == []


def test_a_group_of_vfio_without_an_iommu_protects_nothing(tree, against) -> None:
    tree.controller(driver="vfio-pci", group="0")
    tree.write("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n")
    assert "there is no IOMMU for it" in against(VFIO)[0][1]


def test_uio_behind_an_iommu(tree, against) -> None:
    tree.controller()
    wish = Wish(driver="uio_pci_generic", unsafe_no_iommu=True)
    assert "it reaches no memory: use vfio-pci" in against(wish)[0][1]
    tree.write("sys/kernel/iommu_groups/7/type", "identity\n")
    assert against(wish) == []
    assert "uses no IOMMU" in against(UIO)[0][1]


def test_no_other_owner_without_an_iommu(tree, against) -> None:
    tree.controller(group=None)
    assert "leave --owner out" in against(Wish(owner=1000, unsafe_no_iommu=True))[0][1]


def test_all_reasons_are_in_the_error(tree, host) -> None:
    tree.controller(group=None)
    tree.mountinfo("9 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw")
    controller = read_controller(host, PCI)
    with pytest.raises(BusyError) as caught:
        refuse(controller, examine(host, controller, VFIO, []))
    text = caught.value.strerror
    assert text.startswith(f"{PCI} is left as it is: nvme0n1 is mounted at /srv")
    assert "; there is no IOMMU" in text
