"""Kernels and their modules, found in trees made here."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest
from kernel_images import ELF, bz_image

from ringway.vm import distribution, kernel
from ringway.vm.errors import UnavailableError
from ringway.vm.kernel import Kernel, find_kernel
from ringway.vm.modules import Modules

RELEASE = "6.1.0-9-amd64"


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RINGWAY_VM_KERNEL", raising=False)


def module_file(depends: str = "") -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked kernel package."""
    folder = tmp_path / "unpacked"
    (folder / "boot").mkdir(parents=True)
    (folder / f"boot/vmlinuz-{RELEASE}").write_bytes(bz_image(lzma.compress(ELF)))
    drivers = folder / "lib/modules" / RELEASE / "kernel/drivers"
    drivers.mkdir(parents=True)
    (drivers.parents[1] / "modules.builtin").write_text(
        "kernel/fs/proc.ko\nkernel/virtio-ring.ko\n"
    )
    (drivers / "nvme.ko").write_bytes(module_file("nvme-core,virtio_ring"))
    (drivers / "nvme-core.ko.xz").write_bytes(lzma.compress(module_file("t10-pi")))
    (drivers / "t10-pi.ko.gz").write_bytes(gzip.compress(module_file()))
    return folder


def test_a_folder_is_taken_with_its_kernel_uncompressed(root: Path) -> None:
    found = find_kernel(root)
    assert found.release == RELEASE
    assert found.modules == root / "lib/modules" / RELEASE
    assert found.image.read_bytes() == ELF


def test_the_variable_names_a_kernel_where_nobody_else_does(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGWAY_VM_KERNEL", str(root))
    assert find_kernel().origin == f"given: {root}"
    with pytest.raises(UnavailableError, match="cannot be read"):
        find_kernel(tmp_path / "another")


def test_the_uncompressed_kernel_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_kernel(root).image
    monkeypatch.setattr(kernel, "uncompressed", lambda image: pytest.fail("it is in the cache"))
    assert find_kernel(root).image == first


def test_a_kernel_that_stays_packed_is_started_so(root: Path) -> None:
    image = root / f"boot/vmlinuz-{RELEASE}"
    image.write_bytes(bz_image(b"\x28\xb5\x2f\xfd"))
    for _ in range(2):
        assert find_kernel(root).image == image


def test_an_image_finds_its_modules_beside_it(root: Path) -> None:
    found = find_kernel(root / f"boot/vmlinuz-{RELEASE}")
    assert found.modules == root / "lib/modules" / RELEASE


def test_an_image_without_modules_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(bz_image(b""))
    with pytest.raises(UnavailableError, match=f"there are no modules for .*{RELEASE}"):
        find_kernel(image)


def test_a_folder_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no unpacked kernel package"):
        find_kernel(tmp_path)


def test_without_any_kernel_every_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution.shutil, "which", lambda name: None)
    uname = os.uname()
    fake = os.uname_result([uname.sysname, uname.nodename, "0.0-none", "", uname.machine])
    monkeypatch.setattr(kernel.os, "uname", lambda: fake)
    with pytest.raises(UnavailableError) as caught:
        find_kernel()
    for part in ("there is no apt-get here", "/boot/vmlinuz-0.0-none", "--kernel"):
        assert part in str(caught.value)


# ------------------------------------------------------------ modules


@pytest.fixture
def modules(root: Path) -> Modules:
    return Modules(find_kernel(root))


def test_modules_come_after_what_they_need_and_only_once(modules: Modules) -> None:
    found = modules.closure(["nvme", "nvme-core"])
    assert [name for name, _ in found] == ["t10_pi", "nvme_core", "nvme"]
    assert found[1][1] == module_file("t10-pi")


def test_what_is_built_in_needs_no_loading(modules: Modules) -> None:
    assert modules.closure(["proc", "virtio_ring"]) == []


def test_a_module_that_is_not_there_is_named(modules: Modules) -> None:
    with pytest.raises(UnavailableError, match=f"{RELEASE} .* has no module vfio"):
        modules.closure(["vfio"])


def test_all_that_is_missing_is_named_at_once(modules: Modules) -> None:
    with pytest.raises(UnavailableError, match=r"lacks vfio_pci \(VFIO\), overlay \(a root\)"):
        modules.require(
            {"nvme": "drives", "vfio_pci": "VFIO", "proc": "x", "overlay": "a root"}, {}
        )


def test_what_the_kernel_was_not_built_with_is_named(root: Path) -> None:
    wanted = {"CONFIG_INTEL_IOMMU": "the IOMMU"}
    Modules(find_kernel(root)).require({}, wanted)  # not known, so not refused
    config = root / f"boot/config-{RELEASE}"
    config.write_text("# CONFIG_INTEL_IOMMU is not set\n")
    with pytest.raises(UnavailableError, match=r"lacks CONFIG_INTEL_IOMMU \(the IOMMU\)"):
        Modules(find_kernel(root)).require({}, wanted)
    config.write_text("CONFIG_INTEL_IOMMU=y\n")
    Modules(find_kernel(root)).require({}, wanted)


def test_a_module_packed_with_zstd_needs_its_tool(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "lib/modules" / RELEASE / "kernel/drivers/late.ko.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setattr("ringway.vm.modules.shutil.which", lambda name: None)
    found = Modules(Kernel(root, RELEASE, root / "lib/modules" / RELEASE, "given"))
    with pytest.raises(UnavailableError, match="packed with zstd"):
        found.closure(["late"])


# ------------------------------------------------------------ the distribution's


def write_tool(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt that knows one kernel package, which is `root`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    write_tool(
        folder, "apt-get", 'case "$*" in *download*) echo x >linux-image-1_2_amd64.deb;; esac'
    )
    write_tool(folder, "apt-cache", "echo '  Depends: linux-image-1'")
    write_tool(folder, "dpkg-deb", f"tar -C {root} -cf - .")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_the_distributions_kernel_is_unpacked_once(tools: Path) -> None:
    found = find_kernel()
    assert found.release == RELEASE
    assert "cache" in str(found.modules)
    write_tool(tools, "apt-get", "exit 1")
    assert find_kernel() == found


def test_a_failed_download_is_tried_with_fresh_lists(tools: Path) -> None:
    works = "echo x >linux-image-1_2_amd64.deb"
    script = f'case "$*" in *lists*download*) {works};; *download*) exit 1;; esac'
    write_tool(tools, "apt-get", script)
    assert find_kernel().release == RELEASE


def test_a_damaged_package_leaves_nothing_behind(tools: Path, tmp_path: Path) -> None:
    write_tool(tools, "dpkg-deb", "echo nonsense; exit 2")
    with pytest.raises(UnavailableError, match="cannot be unpacked"):
        distribution.fetch_kernel()
    write_tool(tools, "dpkg-deb", f"tar -C {tmp_path}/unpacked -cf - .")
    assert find_kernel().release == RELEASE


def test_nothing_of_a_package_is_written_outside_its_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in ("../outside", "/absolute", "./lib/modules/x/kernel/sound/a.ko", "./boot/a"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"1"))
    data.seek(0)
    distribution._extract(data, tmp_path / "root")
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == [
        "root/boot/a"
    ]
