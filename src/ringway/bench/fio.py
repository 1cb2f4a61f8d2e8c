"""The referee: writes the fio job that does the same work, runs the installed fio, watches it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import ringway

from ..storage import command_node
from .executor import Progress, RunError, RunSpec, Status, now
from .fiojson import measurement_of
from .meter import DeviceMeter, HelperMeter
from .record import CpuPerIo, Measurement
from .workload import Workload

#: fio needs about this long to start its threads.
_STARTUP = 0.3
_POLL = 0.1
#: Longer than any run; a fio that does not end by then is stuck.
_PATIENCE = 60.0

_ENGINES = {
    "posix": "psync",
    "libaio": "libaio",
    "io_uring": "io_uring",
    "io_uring_cmd": "io_uring_cmd",
    "null": "null",
}
_ALWAYS: dict[str, dict[str, object]] = {
    "io_uring": {"nonvectored": 1},
    # Commands know no page cache, and their device refuses O_DIRECT.
    "io_uring_cmd": {"nonvectored": 1, "cmd_type": "nvme", "direct": 0},
}
_OPTIONS: dict[str, dict[str, object]] = {
    "fixed": {"fixedbufs": 1, "registerfiles": 1},
    "sqpoll": {"sqthread_poll": 1},
    "iopoll": {"hipri": 1},
    "defer": {},
}


def installed() -> str | None:
    """The fio program, or None."""
    return shutil.which("fio")


@dataclass(frozen=True)
class Equivalent:
    """fio's way over the same path: its engine, the options it sets, and what differs."""

    #: In ringway's words: what fio really does.
    path: str
    engine: str
    options: dict[str, object] = field(default_factory=dict)
    differences: tuple[str, ...] = ()


def equivalent(path: str) -> Equivalent | None:
    """What fio has for a ringway path; None where it has nothing like it.

    fio 3.32 and later set up every io_uring as single issuer with deferred task run unless a
    kernel thread submits, and register the file when one does; there is no option against either.
    """
    name, *options = path.split("+")
    engine = _ENGINES.get(name)
    if engine is None or any(option not in _OPTIONS for option in options):
        return None
    settings = dict(_ALWAYS.get(name, {}))
    for option in options:
        settings.update(_OPTIONS[option])
    real, differences = _really(name, options)
    return Equivalent("+".join([name, *real]), engine, settings, differences)


def _really(name: str, options: list[str]) -> tuple[list[str], tuple[str, ...]]:
    if not name.startswith("io_uring") or "defer" in options:
        return options, ()
    if "sqpoll" in options:
        registers = () if "fixed" in options else ("fio registers the file",)
        return options, registers
    if "iopoll" in options:
        return options, ()
    return [*options, "defer"], ("fio defers task work (single issuer), this path does not",)


class FioExecutor:
    """Runs the equivalent job of a RunSpec with the fio that is installed."""

    def __init__(self, program: str | None = None) -> None:
        found = program or installed()
        if found is None:
            raise RunError("fio is not installed; on Debian: apt-get install fio")
        self._program = found

    def run(self, spec: RunSpec, progress: Progress) -> Measurement:
        started = now()
        with tempfile.TemporaryDirectory(prefix="ringway-fio-") as folder:
            job, output = Path(folder, "job.fio"), Path(folder, "out.json")
            job.write_text(job_text(spec))
            watch = _Watch(spec, progress)
            complaint = watch.run(
                [
                    self._program,
                    *([] if spec.workload.writes else ["--readonly"]),
                    "--output-format=json+",
                    f"--output={output}",
                    "--eta=never",
                    str(job),
                ]
            )
            result = measurement_of(spec, _read(output), complaint)
        result.started = started
        result.interrupted = watch.interrupted
        result.device = watch.device.rate()
        result.job = job_text(spec)
        result.differences = list(_equivalent_of(spec).differences)
        result.cpu_ns_per_io = _with_helpers(result, watch.helpers.share())
        return result


def _read(output: Path) -> str:
    return output.read_text() if output.exists() else ""


def _with_helpers(result: Measurement, share: float) -> CpuPerIo | None:
    cpu = result.cpu_ns_per_io
    if cpu is None or not result.iops:
        return cpu
    return CpuPerIo(user=cpu.user, system=cpu.system, helpers=share * 1e9 / result.iops)


class _Watch:
    """A running fio: tells how far it is, samples the meters, ends it when asked to."""

    def __init__(self, spec: RunSpec, progress: Progress) -> None:
        self.device = DeviceMeter.under(spec.target, spec.path or "")
        self.helpers = HelperMeter(0)
        self.interrupted = False
        self._workload = spec.workload
        self._progress = progress

    def run(self, command: list[str]) -> str:
        """What fio wrote to its standard error and output."""
        # A session of its own: Ctrl-C at the terminal is for ringway, which then asks fio to end.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        self.helpers = HelperMeter(process.pid)
        try:
            return self._until_end(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _until_end(self, process: subprocess.Popen[str]) -> str:
        begin = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=_POLL)[0]
            seconds = time.monotonic() - begin
            if not self._go_on(seconds) and not self.interrupted:
                process.send_signal(signal.SIGINT)
                self.interrupted = True
            if self._workload.runtime and seconds > self._workload.seconds + _PATIENCE:
                raise RunError("fio did not end in time; it was stopped")

    def _go_on(self, seconds: float) -> bool:
        measured = seconds - _STARTUP - self._workload.ramp
        inside = measured >= 0 and (
            not self._workload.runtime or measured <= self._workload.runtime - _STARTUP / 2
        )
        if inside:
            self.device.sample()
            self.helpers.sample()
        try:
            return self._progress(Status(max(0.0, measured), 0, ramping=measured < 0))
        except KeyboardInterrupt:
            return False


def _equivalent_of(spec: RunSpec) -> Equivalent:
    found = equivalent(spec.path or "io_uring")
    if found is None:
        raise RunError(f"fio has no engine like {spec.path}")
    return found


def job_text(spec: RunSpec) -> str:
    """The job file that asks fio for the same work.

    Raises RunError where fio has no such path.
    """
    same = _equivalent_of(spec)
    lines = {
        "ioengine": same.engine,
        **_target(spec),
        **_work(spec.workload),
        **_batching(spec.workload, same.engine),
        **same.options,
        **_reporting(),
    }
    return "[ringway]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())


def _target(spec: RunSpec) -> dict[str, object]:
    work = spec.workload
    if spec.target.startswith("null:"):
        from .units import parse_size

        return {"size": work.span or parse_size(spec.target.partition(":")[2])}
    commands = (spec.path or "").startswith("io_uring_cmd")
    target = command_node(spec.target) if commands else spec.target
    size = work.span or target_size(target) - work.offset
    if size < work.bs:
        raise RunError(f"{spec.target}: the range holds no block of {work.bs} bytes")
    return {
        # A colon separates file names in a job.
        "filename": target.replace(":", r"\:"),
        "offset": work.offset,
        "size": size - size % work.bs,
        "direct": int(work.direct),
        # Never lay out, grow or empty the caller's file, nor drop its pages from the cache.
        "allow_file_create": 0,
        "fallocate": "none",
        "invalidate": 0,
        "fadvise_hint": 0,
    }


def target_size(target: str) -> int:
    """Size in bytes of a file or block device, asked by seeking, or of an NVMe namespace."""
    try:
        if stat.S_ISCHR(os.stat(target).st_mode):
            with ringway.open(target) as device:
                return device.size
        with open(target, "rb", buffering=0) as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise RunError(f"{target}: {error.strerror}") from error


def _work(w: Workload) -> dict[str, object]:
    work: dict[str, object] = {
        "rw": w.rw,
        "bs": w.bs,
        "numjobs": w.threads,
        "thread": 1,
        "randrepeat": 1,
        "randseed": w.seed,
        # Uniform with replacement, as ringway draws; otherwise fio keeps a map of blocks done.
        "norandommap": 1,
    }
    optional: dict[str, object] = {
        "time_based=1\nruntime": w.runtime and f"{round(w.runtime * 1000)}ms",
        "ramp_time": w.ramp and f"{round(w.ramp * 1000)}ms",
        "io_size": w.total // w.threads,
        "rate_iops": w.rate // w.threads,
        "random_distribution": w.zipf and f"zipf:{w.zipf:g}",
        "rwmixread": w.mix if w.rw in ("rw", "randrw") else 0,
        "cpus_allowed_policy=split\ncpus_allowed": _cpus(w),
    }
    return work | {key: value for key, value in optional.items() if value}


def _cpus(w: Workload) -> str:
    if w.cpu is None:
        return ""
    return f"{w.cpu}-{w.cpu + w.threads - 1}" if w.threads > 1 else str(w.cpu)


def _batching(w: Workload, engine: str) -> dict[str, object]:
    if engine in ("psync", "null"):
        return {"iodepth": w.depth}
    return {
        "iodepth": w.depth,
        # ringway hands over together all that it can; so must fio, or it pays a call for each.
        "iodepth_batch_submit": w.depth,
        "iodepth_batch_complete_min": w.batch,
        "iodepth_batch_complete_max": w.depth,
    }


def _reporting() -> dict[str, object]:
    return {
        "group_reporting": 1,
        "unified_rw_reporting": "both",
        # From being prepared to being reaped: what ringway calls latency.
        "lat_percentiles": 1,
        "clat_percentiles": 0,
        "percentile_list": "50:90:99:99.9:99.99",
    }
