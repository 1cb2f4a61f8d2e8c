"""Which kernel boots: the user's, else the distribution's from the cache, else the host's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_folder, keep, locked
from .distribution import fetch_kernel
from .errors import UnavailableError
from .image import kernel_release, uncompressed

#: Names a kernel for every use that names none.
VARIABLE = "RINGWAY_VM_KERNEL"


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be started."""

    #: What QEMU starts: the uncompressed kernel where it could be had.
    image: Path
    #: As uname(2) tells it.
    release: str
    #: ``lib/modules/RELEASE``.
    modules: Path
    #: Where it came from, for people.
    origin: str
    #: What it was built with, ``CONFIG_…=y`` each line; None: not known.
    config: Path | None = None


def find_kernel(wanted: Path | None = None) -> Kernel:
    """The kernel to start.

    wanted: a kernel image, or a folder that holds ``boot/vmlinuz-*`` and ``lib/modules``, as a
    distribution's kernel package does when it is unpacked; None: what the variable
    RINGWAY_VM_KERNEL names, else the distribution's, downloaded by its package manager when it is
    not yet in the cache, else the host's own.
    Raises UnavailableError that says for each what was wrong.
    """
    named = os.environ.get(VARIABLE)
    if wanted is not None or named:
        return _given(wanted or Path(str(named)))
    reasons = []
    for find in (_distribution, _host):
        try:
            return find()
        except UnavailableError as error:
            reasons.append(str(error))
    raise UnavailableError(
        f"no kernel to start: {'; '.join(reasons)}. Name one with --kernel (kernel=…): an image, "
        "or the folder a kernel package was unpacked to"
    )


def _given(wanted: Path) -> Kernel:
    if wanted.is_dir():
        return _unpacked(wanted, f"given: {wanted}")
    release = kernel_release(wanted)
    beside = wanted.resolve().parent.parent / "lib/modules" / release
    for modules in (beside, Path("/lib/modules", release)):
        if modules.is_dir():
            return _kernel(wanted, release, modules, f"given: {wanted}")
    raise UnavailableError(
        f"there are no modules for {wanted}: neither {beside} nor /lib/modules/{release}"
    )


def _distribution() -> Kernel:
    folder = fetch_kernel()
    return _unpacked(folder, f"the distribution's; delete {folder} to have it fetched anew")


def host_image() -> Path:
    """Where the kernel that runs here lies, if it does."""
    return Path("/boot", f"vmlinuz-{os.uname().release}")


def _host() -> Kernel:
    image, modules = host_image(), Path("/lib/modules", os.uname().release)
    if not os.access(image, os.R_OK):
        raise UnavailableError(f"the host's own kernel, {image}, is missing or cannot be read")
    if not modules.is_dir():
        raise UnavailableError(f"the host's own kernel has no modules: {modules} is missing")
    return _kernel(image, kernel_release(image), modules, "the host's own")


def _unpacked(root: Path, origin: str) -> Kernel:
    images = sorted(root.glob("boot/vmlinuz-*"))
    if not images:
        raise UnavailableError(
            f"{root} holds no boot/vmlinuz-*: it is no unpacked kernel package ({origin})"
        )
    release = kernel_release(images[-1])
    for modules in (root / "lib/modules" / release, root / "usr/lib/modules" / release):
        if modules.is_dir():
            return _kernel(images[-1], release, modules, origin)
    raise UnavailableError(f"{root} holds no lib/modules/{release} ({origin})")


def _kernel(image: Path, release: str, modules: Path, origin: str) -> Kernel:
    places = (image.with_name(f"config-{release}"), modules / "config")
    config = next((place for place in places if place.is_file()), None)
    return Kernel(_quick_image(image.resolve()), release, modules.resolve(), origin, config)


def _quick_image(image: Path) -> Path:
    """The uncompressed form, made once for the cache; the image where there is none."""
    try:
        kept = _kept_image(image)
    except UnavailableError:  # of the cache: a machine that starts slowly is still one
        return image
    return kept if kept.stat().st_size else image


def _kept_image(image: Path) -> Path:
    status = image.stat()
    folder = cache_folder("uncompressed")
    kept = folder / f"{image.name}-{status.st_size:x}-{status.st_mtime_ns:x}"
    if not kept.exists():
        with locked(folder):
            if not kept.exists():
                # An empty file remembers that there is no uncompressed form.
                keep(kept, uncompressed(image) or b"")
    return kept
