"""QEMU's command line, exactly; what a QEMU is asked, and what it cannot give."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from ringway.vm.commandline import Boot, Port, Setup, Share, arguments, backend
from ringway.vm.controllers import controller_addresses, driver_overrides, nvme_arguments
from ringway.vm.drives import Storage, drive_arguments, storage
from ringway.vm.errors import UnavailableError
from ringway.vm.qemu import Qemu, TopologyError, find_qemu, parse_probe, probe_requests
from ringway.vm.topologies import load_topology, topology_from, topology_names
from ringway.vm.topology import Topology

_VIRTIO = frozenset({"addr"})
_CONTROLLER = {
    *("addr", "serial", "max_ioqpairs", "msix_qsize", "mdts", "aerl", "vsl", "zoned.zasl"),
    *("ioeventfd", "cmb_size_mb", "pmrdev", "subsys", "sriov_max_vfs", "sriov_vq_flexible"),
    *("sriov_vi_flexible", "sriov_max_vq_per_vf", "sriov_max_vi_per_vf"),
}
_NAMESPACE = {
    *("drive", "nsid", "shared", "logical_block_size", "physical_block_size", "ms", "mset"),
    *("pi", "pil", "pif", "zoned", "zoned.zone_size", "zoned.zone_capacity"),
    *("zoned.max_open", "zoned.max_active"),
}
OLD = Qemu(
    Path("/usr/bin/qemu-system-x86_64"),
    (7, 2, 22),
    {
        "nvme": frozenset(_CONTROLLER),
        "nvme-ns": frozenset(_NAMESPACE),
        "nvme-subsys": frozenset({"nqn"}),
        "pcie-root-port": frozenset({"addr", "chassis", "slot"}),
        "intel-iommu": frozenset({"intremap", "caching-mode"}),
        "virtio-9p-pci": _VIRTIO | {"fsdev", "mount_tag"},
        "virtio-serial-pci": _VIRTIO,
        "virtio-rng-pci": _VIRTIO,
    },
    ("kvm", "tcg"),
)
NEW = Qemu(
    OLD.binary,
    (10, 0, 2),
    {
        **OLD.options,
        "nvme": frozenset({*_CONTROLLER, "dbcs"}),
        "nvme-ns": frozenset({*_NAMESPACE, "fdp.ruhs"}),
        "nvme-subsys": frozenset({"nqn", "fdp", "fdp.runs", "fdp.nrg", "fdp.nruh"}),
    },
    ("kvm", "tcg"),
)
BOOT = Boot(Path("/k/vmlinuz"), Path("/k/initrd"), ["console=ttyS0", "quiet"])
#: Every file that a topology needs is called /x.
FILES: dict[str, str] = defaultdict(lambda: "/x")


def one(**controller: Any) -> Topology:
    return topology_from({"controller": [controller]})


def devices(topology: Topology, kind: str, qemu: Qemu = OLD) -> list[str]:
    """Options of the devices of this kind."""
    found = nvme_arguments(topology, qemu, FILES)
    return [
        word.removeprefix(f"{kind},")
        for option, word in zip(found[::2], found[1::2], strict=True)
        if option == "-device" and word.startswith(f"{kind},")
    ]


def blocks(**namespace: Any) -> list[str]:
    """What -object and -blockdev say for this namespace, of 1 MiB unless told."""
    if "file" not in namespace:
        namespace = {"size": "1MiB", **namespace}
    space = one(namespace=[namespace]).controllers[0].namespaces[0]
    return drive_arguments("d", space, {"d": "/x"})[1::2]


def test_a_whole_command_line() -> None:
    setup = Setup(
        accelerator="tcg",
        boot=BOOT,
        shares=[Share("host", Path("/")), Share("out", Path("/a,b"), read_only=False)],
        ports=[Port("status", "socket,fd=5"), Port("log", backend("file", path="/l,g"))],
        console=backend("file", path="/log"),
        monitor=backend("socket", fd=9),
        files={"nvme0n1": "/proc/self/fd/7"},
    )
    # fmt: off
    assert arguments(load_topology("basic"), OLD, setup) == [
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-machine", "q35",
        "-accel", "tcg,thread=multi",
        "-cpu", "max,la57=off",
        "-smp", "2",
        "-m", "2048M",
        "-device", "intel-iommu,intremap=on,caching-mode=on",
        "-kernel", "/k/vmlinuz",
        "-initrd", "/k/initrd",
        "-append", "console=ttyS0 quiet intel_iommu=on",
        "-chardev", "file,id=console,path=/log",
        "-serial", "chardev:console",
        "-chardev", "socket,id=monitor,fd=9",
        "-mon", "chardev=monitor,mode=control",
        "-device", "virtio-serial-pci,id=ports,addr=02.0",
        "-chardev", "socket,id=port1,fd=5",
        "-device", "virtserialport,bus=ports.0,nr=1,chardev=port1,name=status",
        "-chardev", "file,id=port2,path=/l,,g",
        "-device", "virtserialport,bus=ports.0,nr=2,chardev=port2,name=log",
        "-device", "virtio-rng-pci,addr=03.0",
        "-fsdev", "local,id=share0,path=/,security_model=none,multidevs=remap,readonly=on",
        "-device", "virtio-9p-pci,fsdev=share0,mount_tag=host,addr=04.0",
        "-fsdev", "local,id=share1,path=/a,,b,security_model=none,multidevs=remap,readonly=off",
        "-device", "virtio-9p-pci,fsdev=share1,mount_tag=out,addr=05.0",
        "-device", "pcie-root-port,id=nvme0-port,bus=pcie.0,addr=08.0,chassis=1,slot=1",
        "-device", "nvme,id=nvme0,bus=nvme0-port,addr=00.0,serial=ringway-nvme0,"
                   "max_ioqpairs=8,msix_qsize=9,mdts=7,aerl=3",
        "-blockdev", "driver=file,node-name=nvme0n1-data,filename=/proc/self/fd/7,"
                     "cache.no-flush=on,locking=off,discard=unmap",
        "-blockdev", "driver=raw,node-name=nvme0n1,file=nvme0n1-data,discard=unmap",
        "-device", "nvme-ns,id=nvme0n1,bus=nvme0,drive=nvme0n1,nsid=1,"
                   "logical_block_size=512,physical_block_size=512",
    ]
    # fmt: on


def test_the_least_machine_under_kvm() -> None:
    topology = topology_from({"machine": {"iommu": False, "cpus": 4, "memory": "1GiB"}})
    found = arguments(topology, OLD, Setup(accelerator="kvm", boot=BOOT))
    assert found[5:] == [
        *("-machine", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "4", "-m", "1024M"),
        *("-kernel", "/k/vmlinuz", "-initrd", "/k/initrd", "-append", "console=ttyS0 quiet"),
        *("-device", "virtio-rng-pci,addr=03.0"),
    ]


def test_an_iommu_under_kvm_takes_the_interrupt_controller_out_of_it() -> None:
    found = arguments(Topology(), OLD, Setup(accelerator="kvm", boot=BOOT))
    assert found[found.index("-machine") + 1] == "q35,kernel-irqchip=split"


def test_counted_instructions_are_those_of_one_cpu() -> None:
    found = arguments(Topology(), OLD, Setup(accelerator="tcg", boot=BOOT, count_instructions=True))
    start = found.index("-accel")
    # fmt: off
    assert found[start : start + 8] == [
        "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-cpu", "max,la57=off",
        "-smp", "1",
    ]
    # fmt: on


def test_shares_have_slots_of_their_own_and_no_more() -> None:
    shares = [Share(f"s{number}", Path("/")) for number in range(12)]
    found = arguments(Topology(), OLD, Setup(accelerator="tcg", boot=BOOT, shares=shares[:11]))
    slots = [word[-4:-2] for word in found if word.startswith("virtio-9p-pci")]
    assert slots == ["04", "05", "06", "07", "18", "19", "1a", "1b", "1c", "1d", "1e"]
    with pytest.raises(ValueError, match="12 shares; there are slots for 11"):
        arguments(Topology(), OLD, Setup(accelerator="tcg", boot=BOOT, shares=shares))


def test_addresses_follow_the_order_of_the_controllers() -> None:
    topology = topology_from({"controller": [{"name": "b"}, {"name": "a"}, *[{}] * 14]})
    addresses = controller_addresses(topology)
    assert list(addresses.items())[:2] == [("b", "0000:01:00.0"), ("a", "0000:02:00.0")]
    assert addresses["nvme15"] == "0000:10:00.0"
    ports = devices(topology, "pcie-root-port")
    assert ports[0] == "id=b-port,bus=pcie.0,addr=08.0,chassis=1,slot=1"
    assert ports[15] == "id=nvme15-port,bus=pcie.0,addr=17.0,chassis=16,slot=16"


def test_controllers_kept_from_the_nvme_driver() -> None:
    drivers = [{}, {"driver": "none"}, {"driver": "vfio-pci"}]
    topology = topology_from({"controller": drivers})
    assert driver_overrides(topology) == {"0000:02:00.0": "none", "0000:03:00.0": "vfio-pci"}


def test_options_of_a_controller() -> None:
    topology = one(
        serial="S1", queues=4, mdts=5, aerl=1, zasl=3, vsl=4, ioeventfd=True, cmb="4MiB", pmr="2MiB"
    )
    assert nvme_arguments(topology, OLD, FILES)[2:] == [
        "-object",
        "memory-backend-ram,id=nvme0-pmr,size=2M",
        "-device",
        "nvme,id=nvme0,bus=nvme0-port,addr=00.0,pmrdev=nvme0-pmr,serial=S1,max_ioqpairs=4,"
        "msix_qsize=5,mdts=5,aerl=1,zoned.zasl=3,vsl=4,ioeventfd=on,cmb_size_mb=4",
    ]


def test_virtual_functions_and_what_they_share_out() -> None:
    topology = one(queues=4, sriov={"vfs": 4, "queues": 2, "vectors": 2})
    assert nvme_arguments(topology, OLD, FILES) == [
        "-device",
        "nvme-subsys,id=nvme0-subsys,nqn=nvme0-subsys",
        "-device",
        "pcie-root-port,id=nvme0-port,bus=pcie.0,addr=08.0,chassis=1,slot=1",
        "-device",
        "nvme,id=nvme0,bus=nvme0-port,addr=00.0,subsys=nvme0-subsys,serial=ringway-nvme0,"
        "max_ioqpairs=16,msix_qsize=13,sriov_max_vfs=4,sriov_vq_flexible=12,sriov_vi_flexible=8,"
        "sriov_max_vq_per_vf=3,sriov_max_vi_per_vf=2,mdts=7,aerl=3",
    ]
    few = one(sriov={"vfs": 2, "flexible_queues": 5, "flexible_vectors": 3})
    options = devices(few, "nvme")[0]
    assert "max_ioqpairs=13,msix_qsize=12,sriov_max_vfs=2," in options
    assert "sriov_vq_flexible=5,sriov_vi_flexible=3," in options


def test_a_subsystem_comes_before_its_controllers() -> None:
    space = {"size": "1MiB"}
    topology = topology_from(
        {
            "subsystem": [{"name": "both"}],
            "controller": [
                {"subsystem": "both", "namespace": [{**space, "shared": True}, space]},
                {"subsystem": "both"},
            ],
        }
    )
    assert nvme_arguments(topology, OLD, FILES)[:2] == [
        "-device",
        "nvme-subsys,id=both,nqn=both",
    ]
    assert ["subsys=both" in options for options in devices(topology, "nvme")] == [True, True]
    shared = [options.rpartition(",")[2] for options in devices(topology, "nvme-ns")]
    assert shared == ["shared=on", "shared=off"]


@pytest.mark.parametrize(
    ("namespace", "options"),
    [
        ({"lba": 4096}, "logical_block_size=4096,physical_block_size=4096"),
        (
            {"metadata": 8, "protection": 1},
            "logical_block_size=512,physical_block_size=512,ms=8,mset=0,pi=1,pil=0",
        ),
        (
            {
                "lba": 4096,
                "metadata": 64,
                "extended": True,
                "protection": 3,
                "protection_first": True,
                "guard": 64,
            },
            "logical_block_size=4096,physical_block_size=4096,ms=64,mset=1,pi=3,pil=1,pif=2",
        ),
        (
            {"zones": {"size": "2MiB", "max_open": 2, "max_active": 3}},
            "logical_block_size=512,physical_block_size=512,zoned=on,zoned.zone_size=2097152,"
            "zoned.zone_capacity=2097152,zoned.max_open=2,zoned.max_active=3",
        ),
    ],
)
def test_formats(namespace: dict[str, Any], options: str) -> None:
    topology = one(namespace=[{"size": "4MiB", **namespace}])
    assert devices(topology, "nvme-ns") == [f"id=nvme0n1,bus=nvme0,drive=nvme0n1,nsid=1,{options}"]


def test_placement_where_qemu_has_it() -> None:
    topology = load_topology("fdp")
    assert devices(topology, "nvme-subsys", NEW) == [
        "id=placed,nqn=placed,fdp=on,fdp.runs=16777216,fdp.nrg=1,fdp.nruh=4"
    ]
    assert devices(topology, "nvme-ns", NEW)[0].endswith(",fdp.ruhs=0;1;3,shared=off")


def test_shadow_doorbells_where_they_can_be_chosen() -> None:
    chosen = [
        options.rpartition(",")[2] for options in devices(load_topology("doorbells"), "nvme", NEW)
    ]
    assert chosen == ["dbcs=on", "dbcs=off"]
    assert "dbcs" not in devices(one(shadow_doorbells=True), "nvme")[0]
    older = Qemu(OLD.binary, (7, 0, 0), OLD.options, OLD.accelerators)
    assert "dbcs" not in devices(one(shadow_doorbells=False), "nvme", older)[0]
    with pytest.raises(TopologyError, match=r"shadow doorbells are not there in .* QEMU 7.0.0"):
        devices(one(shadow_doorbells=True), "nvme", older)


def test_what_this_version_lacks_is_refused_with_the_reason() -> None:
    with pytest.raises(TopologyError) as caught:
        nvme_arguments(load_topology("fdp"), OLD, FILES)
    assert str(caught.value) == (
        "subsystem placed: device nvme-subsys has no option fdp in the installed QEMU 7.2.22;"
        " it takes QEMU 8.0"
    )
    with pytest.raises(TopologyError) as caught:
        nvme_arguments(load_topology("doorbells"), OLD, FILES)
    assert str(caught.value) == (
        "controller nvme1: shadow doorbells cannot be switched off in the installed QEMU 7.2.22;"
        " it takes QEMU 10.0"
    )


def test_a_build_without_the_device_is_refused() -> None:
    bare = Qemu(Path("/usr/libexec/qemu-kvm"), (9, 1, 0), {}, ("kvm",))
    with pytest.raises(TopologyError, match=r"/usr/libexec/qemu-kvm \(9.1.0\) was built without"):
        nvme_arguments(one(), bare, FILES)


def test_every_shipped_topology_has_a_command_line() -> None:
    setup = Setup(accelerator="tcg", boot=BOOT, files=FILES)
    for name in topology_names():
        assert arguments(load_topology(name), NEW, setup)


def test_storage_is_what_has_to_be_made() -> None:
    assert storage(load_topology("formats")) == [
        Storage("nvme0n1", "memory", 64 << 20),
        Storage("nvme0n2", "memory", 64 << 20),
        Storage("nvme0n3", "memory", (64 << 20) + 131072 * 8),
        Storage("nvme0n4", "memory", (64 << 20) + 16384 * 16),
        Storage("nvme0n5", "memory", (64 << 20) + 16384 * 64),
    ]
    assert storage(load_topology("compare")) == []
    file = one(namespace=[{"size": "1MiB", "backing": "file"}, {"backing": "file", "file": "i"}])
    assert storage(file) == [Storage("nvme0n1", "file", 1 << 20)]


def test_storage_that_was_not_made_is_noticed() -> None:
    with pytest.raises(KeyError, match="nvme0n1"):
        nvme_arguments(load_topology("basic"), OLD, {})


def test_a_drive_that_holds_nothing() -> None:
    assert blocks(backing="null", latency="20us") == [
        "driver=null-co,node-name=d-data,size=1048576,read-zeroes=on,latency-ns=20000,"
        "discard=unmap",
        "driver=raw,node-name=d,file=d-data,discard=unmap",
    ]


def test_a_given_file_is_only_read_unless_told() -> None:
    assert blocks(backing="file", file="my,image") == [
        "driver=file,node-name=d-data,filename=my,,image,read-only=on,discard=unmap",
        "driver=raw,node-name=d,read-only=on,file=d-data,discard=unmap",
    ]
    assert blocks(backing="file", file="i", writable=True)[0] == (
        "driver=file,node-name=d-data,filename=i,discard=unmap"
    )


def test_faults_are_layers_that_count_where_they_must() -> None:
    bad = {"on": "read", "lba": 10, "blocks": 2}
    late = {"on": "write", "after": 2, "once": True, "errno": "ENOSPC"}
    assert blocks(lba=4096, fault=[bad, late])[1:] == [
        "driver=blkdebug,node-name=d-fault0,image=d-data,"
        "inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.errno=5,"
        "inject-error.0.sector=80,"
        "inject-error.1.event=none,inject-error.1.iotype=read,inject-error.1.errno=5,"
        "inject-error.1.sector=88,discard=unmap",
        "driver=blkdebug,node-name=d-fault1,image=d-fault0,"
        "set-state.0.event=write_aio,set-state.0.state=1,set-state.0.new_state=2,"
        "set-state.1.event=write_aio,set-state.1.state=2,set-state.1.new_state=3,"
        "inject-error.0.event=write_aio,inject-error.0.iotype=write,inject-error.0.errno=28,"
        "inject-error.0.state=3,inject-error.0.once=on,discard=unmap",
        "driver=raw,node-name=d-count1,file=d-fault1,discard=unmap",
        "driver=raw,node-name=d,file=d-count1,discard=unmap",
    ]


def test_limits_are_a_group_and_a_layer() -> None:
    limits, _, throttle, top = blocks(limit={"iops": 100, "read_bandwidth": "1MiB"})
    assert json.loads(limits) == {
        "qom-type": "throttle-group",
        "id": "d-limits",
        "limits": {"iops-total": 100, "bps-read": 1 << 20},
    }
    assert throttle == (
        "driver=throttle,node-name=d-limit,throttle-group=d-limits,file=d-data,discard=unmap"
    )
    assert top == "driver=raw,node-name=d,file=d-limit,discard=unmap"


def answers() -> str:
    """What a QEMU says to the probe."""
    version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "Debian"}
    lines: list[dict[str, Any]] = [
        {"QMP": {"version": version, "capabilities": ["oob"]}},
        {"return": {}},
        {"return": [{"name": "tcg-accel"}, {"name": "accel"}], "id": "accel"},
        {"return": [{"name": "serial", "type": "str"}, {"name": "mdts"}], "id": "nvme"},
        {"id": "nvme-ns", "error": {"class": "DeviceNotFound", "desc": "not found"}},
        {"timestamp": {}, "event": "SHUTDOWN"},
    ]
    return "\n".join(json.dumps(line) for line in lines)


def test_what_a_qemu_answers() -> None:
    assert parse_probe(Path("/q"), answers()) == Qemu(
        Path("/q"), (7, 2, 22), {"nvme": frozenset({"serial", "mdts"})}, ("tcg",)
    )
    assert parse_probe(Path("/q"), answers()).release == "7.2.22"


def test_every_device_is_asked_for() -> None:
    requests = [json.loads(line) for line in probe_requests().splitlines()]
    assert requests[0] == {"execute": "qmp_capabilities"}
    assert requests[-1] == {"execute": "quit"}
    asked = {request["id"] for request in requests if "id" in request}
    assert asked == {"accel", *OLD.options}


def fake_qemu(folder: Path, script: str) -> str:
    file = folder / "qemu"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_finding_and_asking_a_qemu(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text(answers())
    qemu = find_qemu(fake_qemu(tmp_path, f"cat >{tmp_path}/asked; cat {tmp_path}/answers"))
    assert qemu.version == (7, 2, 22)
    assert qemu.binary == tmp_path / "qemu"
    assert (tmp_path / "asked").read_text() == probe_requests()


def test_a_qemu_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError, match="does not answer as QEMU does; it said: no luck"):
        find_qemu(fake_qemu(tmp_path, "echo no luck >&2; exit 1"))
    with pytest.raises(UnavailableError, match="there is no /nowhere/qemu; install it"):
        find_qemu("/nowhere/qemu")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("ringway.vm.qemu._BINARIES", ("qemu-system-x86_64",))
    with pytest.raises(UnavailableError, match="apt-get install qemu-system-x86"):
        find_qemu()
