"""The distribution's kernel: downloaded by its package manager, unpacked into the cache.

It is never installed: neither the host's kernel nor its boot loader learns of it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .cache import cache_folder, locked
from .errors import UnavailableError
from .process import mortal

#: The package that depends on the current kernel: Debian's name, Ubuntu's name.
_CURRENT = ("linux-image-amd64", "linux-image-generic")
#: Longest a download may take, in seconds.
_PATIENCE = 600
#: Most of a kernel package drives hardware that no machine of ours has.
_LEFT_OUT = (
    "/kernel/sound/",
    "/kernel/drivers/gpu/",
    "/kernel/drivers/media/",
    "/kernel/drivers/staging/",
    "/kernel/drivers/infiniband/",
    "/kernel/drivers/net/",
    "/kernel/drivers/iio/",
    "/kernel/drivers/input/",
    "/kernel/drivers/usb/",
    "/usr/share/",
)


def fetch_kernel() -> Path:
    """The folder a kernel package was unpacked to; downloads and unpacks one the first time.

    Raises UnavailableError where there is no apt-get, or it cannot download one.
    """
    kept = kept_kernel()
    if kept is None:
        folder = cache_folder("kernels")
        with locked(folder):
            kept = kept_kernel() or _fetch(folder)
    return kept


def kept_kernel() -> Path | None:
    """The folder of the unpacked kernel package that was fetched last; None: none was."""
    folders = cache_folder("kernels").glob("*/")
    complete = [path for path in folders if path.suffix != ".new"]
    return max(complete, key=lambda path: path.stat().st_mtime, default=None)


def _fetch(folder: Path) -> Path:
    if platform.machine() != "x86_64":
        raise UnavailableError(f"machines here are x86_64, this one is {platform.machine()}")
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UnavailableError(f"no distribution kernel: there is no {tool} here")
    with _new_folder(folder / "download.new") as download:
        packages = _download(download)
        fresh = folder / f"{packages[0].stem}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        for package in packages:
            _unpack(package, fresh)
        _index_modules(fresh)
        return fresh.rename(fresh.with_suffix(""))


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


# ------------------------------------------------------------ apt


def _download(folder: Path) -> list[Path]:
    """The kernel's packages, fetched to a folder."""
    lists: list[str] = []
    names = _package_names(lists)
    if not names or not _fetched(folder, lists, names):
        # The lists may be missing or out of date; in a folder of ours fresh ones need no root.
        lists = _own_lists(folder)
        names = _package_names(lists)
        if not names:
            raise UnavailableError(
                f"apt-get knows no {' or '.join(_CURRENT)}: apt-get update, or name a kernel"
            )
        if not _fetched(folder, lists, names):
            raise UnavailableError(f"apt-get download {' '.join(names)} failed")
    return sorted(folder.glob("linux-image*.deb")) + sorted(folder.glob("linux-modules*.deb"))


def _own_lists(folder: Path) -> list[str]:
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::lists={folder}/state/lists", "-o", f"Dir::Cache={folder}/cache"]
    _run("apt-get", *options, "-qq", "update", cwd=folder)
    return options


def _package_names(options: list[str]) -> list[str]:
    """The image package that is current, and where modules have packages of their own, those."""
    for current in _CURRENT:
        images = _depends(options, current, "linux-image-")
        if images:
            return [images[0], *_depends(options, images[0], "linux-modules-")]
    return []


def _depends(options: list[str], package: str, prefix: str) -> list[str]:
    text = _run("apt-cache", *options, "depends", "--no-recommends", "--no-suggests", package) or ""
    words = [line.split(":", 1)[1].strip() for line in text.splitlines() if "Depends:" in line]
    return [word for word in words if word.startswith(prefix)]


def _fetched(folder: Path, options: list[str], names: list[str]) -> bool:
    # As root apt would drop its rights first, and could not write to the folder then.
    sandbox = ["-o", "APT::Sandbox::User=root"]
    return _run("apt-get", *options, *sandbox, "-qq", "download", *names, cwd=folder) is not None


def _run(*command: str, cwd: Path | None = None) -> str | None:
    """What it prints, None where it fails."""
    try:
        done = subprocess.run(
            mortal(command),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
            # What it prints is read.
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


# ------------------------------------------------------------ unpacking


def _unpack(package: Path, root: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as source:
        assert source.stdout is not None
        try:
            _extract(source.stdout, root)
            # An archive is padded at its end; who writes that should find a reader.
            while source.stdout.read(1 << 16):
                pass
        except (tarfile.TarError, OSError) as error:
            raise UnavailableError(f"{package.name} cannot be unpacked: {error}") from error
    if source.returncode:
        raise UnavailableError(
            f"{package.name} is damaged: dpkg-deb ended with {source.returncode}"
        )


def _extract(source: IO[bytes], root: Path) -> None:
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in _wanted(archive):
            target = root / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            if content is not None:
                with content, open(target, "wb") as file:
                    shutil.copyfileobj(content, file)


def _wanted(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Plain files alone: nothing in a package of modules needs more, and nothing can point out."""
    for member in archive:
        outside = ".." in Path(member.name).parts or Path(member.name).is_absolute()
        if member.isfile() and not outside and not any(part in member.name for part in _LEFT_OUT):
            yield member


def _index_modules(root: Path) -> None:
    """modules.dep for modprobe in the guest; without a depmod, only the modules named come in."""
    for modules in root.glob("lib/modules/*"):
        for tool in (["depmod"], ["/sbin/depmod"], ["busybox", "depmod"]):
            if _run(*tool, "-b", str(root), modules.name) is not None:
                break
