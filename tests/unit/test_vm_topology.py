"""Topologies: what they fill in, what they refuse and how, the files that come with ringway."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringway.config import ConfigError
from ringway.vm.controller import Controller, Fdp, Sriov, Subsystem
from ringway.vm.namespace import Fault, Limit, Namespace, Zones
from ringway.vm.null_blk import NullBlk
from ringway.vm.record import Size
from ringway.vm.topologies import load_topology, topology_from, topology_names
from ringway.vm.topology import Machine, Topology

MIB = 1 << 20
PAGE = Path(__file__).resolve().parents[2] / "docs" / "topologies.md"


def one(**namespace: Any) -> dict[str, Any]:
    """A topology with one controller and this namespace, of 64 MiB unless told."""
    return {"controller": [{"namespace": [{"size": "64MiB", **namespace}]}]}


def test_sizes_and_times_are_numbers_or_text() -> None:
    topology = topology_from(
        {
            "machine": {"memory": 1 << 30, "hugepages": "4MiB"},
            "controller": [
                {"namespace": [{"size": "16g", "backing": "null", "latency": "50us"}]},
                {"cmb": "2MiB", "namespace": [{"size": "1024k"}]},
            ],
        }
    )
    assert topology.machine.memory == 1 << 30
    assert topology.machine.hugepages == 4 * MIB
    spaces = [space for controller in topology.controllers for space in controller.namespaces]
    assert [space.size for space in spaces] == [16 << 30, MIB]
    assert spaces[0].latency.nanoseconds == 50_000
    assert topology.controllers[1].cmb == 2 * MIB


def test_names_serials_and_namespace_identifiers_are_filled_in() -> None:
    space = {"size": "8MiB"}
    topology = topology_from(
        {
            "subsystem": [{"name": "both"}],
            "controller": [
                {"namespace": [space, {**space, "nsid": 1}, space]},
                {"name": "spare", "serial": "S1"},
                {"subsystem": "both", "namespace": [space]},
                {"subsystem": "both", "namespace": [{**space, "shared": True}]},
            ],
        }
    )
    assert [
        (controller.name, controller.serial, controller.drives)
        for controller in topology.controllers
    ] == [
        ("nvme0", "ringway-nvme0", ("nvme0n2", "nvme0n1", "nvme0n3")),
        ("spare", "S1", ()),
        ("nvme2", "ringway-both", ("nvme2n1",)),
        ("nvme3", "ringway-both", ("nvme3n2",)),
    ]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"controler": []}, "controler: unknown key; did you mean controller?"),
        ({"machine": {"cpu": 1}}, "machine.cpu: unknown key; did you mean cpus?"),
        (one(sise=1), "controller[0].namespace[0].sise: unknown key; did you mean size?"),
        (
            one(zones={"max_opened": 1}),
            "controller[0].namespace[0].zones.max_opened: unknown key; did you mean max_open?",
        ),
        (
            one(fault=[{"on": "read"}, {"on": "read", "errono": "EIO"}]),
            "controller[0].namespace[0].fault[1].errono: unknown key; did you mean errno?",
        ),
        (
            {"null_blk": [{"pol_queues": 1}]},
            "null_blk[0].pol_queues: unknown key; did you mean poll_queues?",
        ),
        (
            {"machine": {"xyz": 1}},
            "machine.xyz: unknown key; there are: cpus, hugepages, iommu, kernel, memory, modules,"
            " parameters",
        ),
        ({"machine": {"cpus": "2"}}, "machine.cpus: Expected int, got str"),
        ({"machine": {"memory": [2]}}, "machine.memory: text or a number is expected, not list"),
        ({"controller": {}}, "controller: Expected array, got object"),
        (
            one(size="64 MeB"),
            "controller[0].namespace[0].size: '64 MeB' is not a size;"
            " write bytes, or 4k, 64KiB, 1MiB, 2g",
        ),
        (one(lba=520), "controller[0].namespace[0]: lba: 520 is not one of 512 and 4096"),
    ],
)
def test_errors_name_the_place(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        topology_from(tree, source="x.toml")
    assert str(caught.value) == f"x.toml: {message}"


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({"size": "1000"}, "1000 bytes are no whole number of blocks of 512"),
        ({"size": 0}, "how large is the namespace?"),
        ({"metadata": 4}, "metadata: 4 is not one of"),
        ({"extended": True}, "extended: says where the metadata is"),
        ({"protection": 1}, "protection: takes 8 bytes of metadata; there are 0"),
        ({"protection": 1, "metadata": 8, "guard": 64}, "protection: takes 16 bytes"),
        ({"protection": 4}, "protection: type 4"),
        ({"guard": 32}, "guard: 32"),
        ({"nsid": 0}, "nsid: 0 is outside"),
        ({"zones": {"size": "3MiB"}}, "size: zones of 3145728 bytes"),
        ({"zones": {"size": "4MiB", "capacity": "5MiB"}}, "capacity: 5242880"),
        ({"zones": {"size": "128MiB"}}, "zones: one zone has 134217728 bytes"),
        ({"zones": {"max_active": 4}}, "max_open: with max_active"),
        ({"zones": {"max_open": -1}}, "a limit is not negative"),
        ({"file": "x.img"}, 'file: needs backing = "file"; it is "memory"'),
        ({"file": "x.img", "backing": "file"}, "size: is the size of the file"),
        ({"writable": True}, "writable: lets a given file be written"),
        ({"latency": "1ms"}, 'latency: needs backing = "null"'),
        ({"handles": [0]}, "handles: the subsystem's fdp gives 0 of them"),
        ({"shared": True}, "shared needs sriov, or a subsystem"),
        ({"fault": [{"on": "reed"}]}, "Invalid enum value"),
        ({"fault": [{"on": "read", "lba": -1}]}, "lba: -1 is negative"),
        ({"fault": [{"on": "read", "blocks": 2}]}, "blocks: counts from lba"),
        ({"fault": [{"on": "read", "lba": 0, "blocks": 65}]}, "blocks: 65 is outside 1 to 64"),
        ({"fault": [{"on": "read", "lba": 131071, "blocks": 2}]}, "block 131072 is beyond"),
        ({"fault": [{"on": "flush", "lba": 1}]}, "lba: a flush has no block"),
        ({"fault": [{"on": "read", "errno": "EIOO"}]}, "unknown error 'EIOO'; did you mean EIO?"),
        ({"fault": [{"on": "read", "after": 65}]}, "after: 65 is outside"),
        ({"fault": [{"on": "flush", "after": 1}]}, "after: only reads and writes are counted"),
        ({"limit": {}}, "no limit is given"),
        ({"limit": {"iops": -1}}, "a limit is not negative"),
        ({"limit": {"iops": 1, "read_iops": 1}}, "iops: limits reads and writes together"),
        ({"size": "5GiB"}, "namespaces in memory take 5 GiB, more than 4 GiB"),
        ({"size": "65GiB", "backing": "file"}, "temporary files take 65 GiB, more than 64 GiB"),
    ],
)
def test_contradictions_of_a_namespace_are_named(namespace: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        topology_from(one(**namespace))


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        ({"name": "a-b"}, "name: 'a-b'; a name has up to 12 letters"),
        ({"serial": "x" * 21}, "up to 20 ASCII characters"),
        ({"serial": "a,b"}, "up to 20 ASCII characters"),
        ({"queues": 0}, "queues: 0 is outside"),
        ({"mdts": 17}, "mdts: 17 is outside 0 to 16"),
        ({"zasl": 6, "mdts": 5}, "zasl: 6 is more than mdts (5)"),
        ({"cmb": "1k"}, "cmb: 1024 bytes; a power of two"),
        ({"cmb": "3MiB"}, "cmb: 3145728 bytes; a power of two from 1MiB to 1GiB"),
        ({"cmb": "2GiB"}, "cmb: 2147483648 bytes; a power of two from 1MiB to 1GiB"),
        ({"name": "ports"}, "name: ports is what another part of the machine is called"),
        ({"name": "console"}, "name: console is what another part"),
        ({"name": "monitor"}, "name: monitor is what another part"),
        ({"name": "port1"}, "name: port1 is what another part"),
        ({"name": "share0"}, "name: share0 is what another part"),
        ({"name": "nvme0-port"}, "name: 'nvme0-port'; a name has up to 12 letters"),
        (
            {"sriov": {"vfs": 127, "vectors": 17}},
            "sriov: 2168 interrupt vectors in all, its own among them, and PCI has up to 2048",
        ),
        ({"sriov": {"vfs": 4, "flexible_vectors": 2040}}, "2049 interrupt vectors in all"),
        ({"sriov": {"vfs": 4, "flexible_queues": 65528}}, "65536 queues in all"),
        ({"pmr": "3MiB"}, "pmr: 3145728 bytes; a power of two"),
        ({"sriov": {}}, "missing required field vfs"),
        ({"sriov": {"vfs": 128}}, "vfs: 128 is outside"),
        ({"sriov": {"vfs": 1}, "cmb": "1MiB"}, "QEMU has none on a controller with sriov"),
        ({"sriov": {"vfs": 1}, "queues": 1}, "keeps at least 2 for itself"),
        ({"sriov": {"vfs": 4, "flexible_queues": 7}}, "two for each function are needed, 8"),
        ({"sriov": {"vfs": 4, "flexible_vectors": 3}}, "one for each function is needed, 4"),
        ({"subsystem": "there"}, "unknown subsystem 'there'; there are: none"),
        ({"driver": "nvm"}, "Invalid enum value"),
    ],
)
def test_contradictions_of_a_controller_are_named(controller: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        topology_from({"controller": [controller]})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"machine": {"cpus": 0}}, "cpus: 0 is outside"),
        ({"machine": {"memory": "64MiB"}}, "at least 256MiB"),
        ({"machine": {"hugepages": 64}}, "a size is wanted, a multiple of 2MiB"),
        ({"machine": {"memory": "256MiB", "hugepages": "130MiB"}}, "more than half of memory"),
        ({"machine": {"kernel": ["a b"]}}, "kernel: 'a b' is not one word"),
        ({"controller": [{}] * 17}, "there are 17; at most 16 fit"),
        ({"controller": [{"name": "a"}, {"name": "a"}]}, "controller: there are two called a"),
        ({"controller": [{"name": "nvme1"}, {}]}, "controller: there are two called nvme1"),
        ({"subsystem": [{"name": "a"}] * 2}, "subsystem: there are two called a"),
        ({"subsystem": [{"name": "share1"}]}, "name: share1 is what another part"),
        (
            {"subsystem": [{"name": "a"}], "controller": [{"name": "a"}]},
            "a: controllers, subsystems and namespaces share their names, and two are called so",
        ),
        (
            {"controller": [{"namespace": [{"size": "1MiB"}]}, {"name": "nvme0n1"}]},
            "nvme0n1: controllers, subsystems and namespaces share their names",
        ),
        (
            {"machine": {"parameters": {"nvme": {"x": "1 init=/bin/sh"}}}},
            "parameters.nvme.x: '1 init=/bin/sh' has white space",
        ),
        ({"machine": {"parameters": {"nvme": {"x y": 1}}}}, "'x y' is no parameter's name"),
        ({"machine": {"parameters": {"nvme x": {"y": 1}}}}, "'nvme x' is no module's name"),
        ({"machine": {"modules": ["a b"]}}, "'a b' is no module's name"),
        ({"subsystem": [{"name": "a", "fdp": {"handles": 0}}]}, "handles: 0 is outside"),
        ({"null_blk": [{"size": 512}]}, "null_blk counts in MiB"),
        ({"null_blk": [{"block_size": 520}]}, "block_size: 520"),
        ({"null_blk": [{"zone_size": "3MiB"}]}, "zone_size: 3145728 bytes; a power of two"),
        (
            {"null_blk": [{"size": "8MiB", "zone_size": "16MiB"}]},
            "zone_size: 16777216 bytes; a power of two is needed, from 1MiB to the size",
        ),
        (
            {"null_blk": [{}, {"queues": 3}]},
            "null_blk[1]: queues: 3, and cpus of the machine is 2",
        ),
        (
            {"null_blk": [{"poll_queues": 2}]},
            "null_blk[0]: poll_queues: 2, and the module allows 1; in [machine],"
            " parameters.null_blk = { poll_queues = 2 }",
        ),
        ({"null_blk": [{"discard": True}]}, "discard: needs memory_backed"),
        ({"null_blk": [{"completion": "irq"}]}, "Invalid enum value"),
    ],
)
def test_contradictions_of_the_whole_are_named(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        topology_from(tree)


def test_controllers_of_one_subsystem_agree() -> None:
    tree: dict[str, Any] = {"subsystem": [{"name": "s"}]}
    two_serials = [{"subsystem": "s", "serial": "A"}, {"subsystem": "s", "serial": "B"}]
    with pytest.raises(ConfigError, match="subsystem s: its controllers need one serial"):
        topology_from({**tree, "controller": two_serials})
    space = {"size": "8MiB", "nsid": 3}
    same = {"subsystem": "s", "namespace": [space]}
    with pytest.raises(ConfigError, match="subsystem s: nsid 3 is there twice"):
        topology_from({**tree, "controller": [same, same]})
    alone = {"namespace": [space, space]}
    with pytest.raises(ConfigError, match="namespace: there are two called nvme0n3"):
        topology_from({"controller": [alone]})


def test_handles_are_those_of_the_subsystem() -> None:
    def tree(*handles: int) -> dict[str, Any]:
        space = {"size": "8MiB", "handles": list(handles)}
        return {
            "subsystem": [{"name": "s", "fdp": {"handles": 2}}],
            "controller": [{"subsystem": "s", "namespace": [space]}],
        }

    assert topology_from(tree(0, 1)).controllers[0].namespaces[0].handles == (0, 1)
    with pytest.raises(ConfigError, match=r"handles: the subsystem's fdp gives 2 of them, from 0"):
        topology_from(tree(2))


def test_room_for_metadata_is_counted() -> None:
    assert Namespace(size=Size(8 * MIB)).stored == 8 * MIB
    assert Namespace(size=Size(8 * MIB), lba=4096, metadata=64).stored == 8 * MIB + 2048 * 64
    assert Namespace(backing="file", file="x").stored == 0
    topology = topology_from(
        {
            "controller": [
                {"namespace": [{"size": "1MiB"}, {"size": "2MiB", "backing": "file"}]},
                {"namespace": [{"size": "1TiB", "backing": "null"}, {"size": "4MiB"}]},
            ]
        }
    )
    assert (topology.in_memory, topology.in_files) == (5 * MIB, 2 * MIB)


def test_words_for_the_kernel_and_arguments_for_modules() -> None:
    assert Machine().words() == ("intel_iommu=on",)
    machine = Machine(
        iommu=False,
        hugepages=Size(64 * MIB),
        kernel=("debug", "x=1"),
        parameters={"nvme": {"poll_queues": 2}, "vfio-pci": {"disable_idle_d3": True}},
    )
    assert machine.words() == (
        "hugepages=32",
        "nvme.poll_queues=2",
        "vfio-pci.disable_idle_d3=Y",
        "debug",
        "x=1",
    )
    assert machine.module_arguments("nvme") == ("poll_queues=2",)
    assert machine.module_arguments("vfio_pci") == ("disable_idle_d3=Y",)
    assert machine.module_arguments("null_blk") == ()


def test_null_blk_as_configfs_has_it() -> None:
    device = topology_from(
        {
            "machine": {"parameters": {"null-blk": {"poll_queues": 2}}},
            "null_blk": [{"size": "64MiB", "poll_queues": 2, "zone_size": "4MiB"}],
        }
    ).null_blk[0]
    assert device.attributes() == {
        "size": "64",
        "blocksize": "512",
        "queue_mode": "2",
        "submit_queues": "1",
        "poll_queues": "2",
        "hw_queue_depth": "64",
        "irqmode": "0",
        "completion_nsec": "10000",
        "memory_backed": "0",
        "discard": "0",
        "blocking": "0",
        "zoned": "1",
        "zone_size": "4",
    }
    assert NullBlk(completion="timer").attributes()["irqmode"] == "2"


def test_every_shipped_topology_loads_and_says_what_it_is_for() -> None:
    names = topology_names()
    assert {"basic", "formats", "contract", "compare", "many", "sriov", "zoned"} <= set(names)
    assert {"fdp", "faults", "cmb", "doorbells", "no-iommu"} <= set(names)
    for name in names:
        topology = load_topology(name)
        assert topology.name == name
        assert topology.description
        assert topology.controllers


def test_the_page_names_every_topology_and_every_key() -> None:
    words = set(re.findall(r"[\w-]+", PAGE.read_text(encoding="utf-8")))
    assert set(topology_names()) <= words
    records = [Machine, Controller, Namespace, Sriov, Subsystem, Fdp, Zones, Fault, Limit, NullBlk]
    for record in records:
        missing = {field.encode_name for field in msgspec.structs.fields(record)} - words
        assert not missing, f"docs/topologies.md says nothing of {record.__name__}: {missing}"


def test_the_topology_on_the_page_can_be_used(tmp_path: Path) -> None:
    example = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]
    file = tmp_path / "mine.toml"
    file.write_text(example)
    assert [controller.drives for controller in load_topology(str(file)).controllers] == [
        ("nvme0n1",),
        ("nvme1n1",),
    ]


def test_an_unknown_topology_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown topology 'basics'; did you mean basic\?"):
        load_topology("basics")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[[controller]]\n[[controller.namespace]]\nbacking = "file"\nfile = "d/x.img"\n'
    )
    image = tmp_path / "d" / "x.img"
    image.parent.mkdir()
    image.write_bytes(bytes(4096))
    topology = load_topology(str(file))
    assert topology.name == "mine"
    assert topology.controllers[0].namespaces[0].file == str(tmp_path / "d" / "x.img")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.img", "missing.img cannot be opened: No such file or directory; make one"),
        ("folder", "folder is no regular file; a raw image is needed"),
        ("empty.img", "empty.img is empty, and the namespace has its size"),
        ("closed.img", "closed.img may not be read by you"),
        ("fixed.img", "fixed.img may not be written by you; leave writable out"),
    ],
)
def test_a_given_file_is_looked_at_when_the_topology_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.img").touch()
    for image in ("closed.img", "fixed.img"):
        (tmp_path / image).write_bytes(bytes(4096))
    # Root may do everything, whatever the file's mode.
    refused = {"closed.img": os.R_OK, "fixed.img": os.W_OK}
    monkeypatch.setattr(os, "access", lambda file, mode: refused.get(file.name) != mode)
    space = f'backing = "file"\nfile = "{name}"\nwritable = true\n'
    (tmp_path / "mine.toml").write_text(f"[[controller]]\n[[controller.namespace]]\n{space}")
    with pytest.raises(ConfigError, match=re.escape(f"file: {tmp_path / message}")):
        load_topology(str(tmp_path / "mine.toml"))


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing.toml: cannot be read: No such file"):
        load_topology(str(missing))
    broken = tmp_path / "broken.toml"
    broken.write_text("[[controller")
    with pytest.raises(ConfigError, match=r"broken.toml: not TOML"):
        load_topology(str(broken))


def test_the_default_is_a_machine_without_drives() -> None:
    topology = Topology()
    assert topology.controllers == ()
    assert topology.machine.cpus == 2


def test_on_one_cpu_no_driver_is_asked_for_more_queues_than_that() -> None:
    topology = topology_from(
        {
            "machine": {
                "cpus": 4,
                "parameters": {
                    "nvme": {"poll_queues": 4, "io_timeout": 9, "write_queues": 0},
                    "null_blk": {"g_poll_queues": 2},
                },
            },
            "null_blk": [{"queues": 3}],
        }
    )
    started = topology.on_one_cpu()
    assert started.machine.cpus == 1
    assert started.machine.parameters["nvme"] == {
        "poll_queues": 1,
        "io_timeout": 9,
        "write_queues": 0,
    }
    assert started.null_blk[0].queues == 1
    for name in topology_names():
        load_topology(name).on_one_cpu()
