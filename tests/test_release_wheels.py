"""The release's wheels: what doesn't keep the promise of its name is seen before anybody installs it."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

PLATFORM = "manylinux_2_17_aarch64"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def release(checkout: Path) -> ModuleType:
    return loaded(checkout / "contrib" / "release_wheels.py")


def library(machine: int = 183, *versions: str) -> bytes:
    """Return what begins like an ELF file of 64 bits, and names versions of glibc."""
    head = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + machine.to_bytes(2, "little")
    return head + b"".join(f"\0GLIBC_{version}\0".encode() for version in versions)


def wheel(folder: Path, content: bytes | None, tag: str = PLATFORM, pure: str = "false", named: str = PLATFORM) -> Path:
    path = folder / f"logscan_mail-1.0-py3-none-{named}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logscan_mail-1.0.dist-info/WHEEL", f"Root-Is-Purelib: {pure}\nTag: py3-none-{tag}\n")
        if content is not None:
            archive.writestr("logscan/machine/_machine.so", content)
    return path


def test_a_wheel_that_keeps_its_promise_has_no_fault(release: ModuleType, tmp_path: Path) -> None:
    assert release.faults(wheel(tmp_path, library(183, "2.2.5", "2.14", "2.17")), PLATFORM) == []


@pytest.mark.parametrize(
    ("content", "named", "fault"),
    [
        (None, {}, "no library for this processor"),
        (b"", {}, "no library for this processor"),
        (library(62), {}, "no library for this processor"),
        (b"\x7fELF\x01" + library()[5:], {}, "no library for this processor"),
        (library(183, "2.2.5", "2.34", "2.4"), {}, "it needs glibc 2.34"),
        (library(183, "2.17.1"), {}, "it needs glibc 2.17.1"),
        (library(), {"tag": "linux_aarch64"}, "another tag"),
        (library(), {"named": "linux_aarch64"}, "another tag"),
        (library(), {"pure": "true"}, "it says that it is pure"),
    ],
)
def test_what_a_wheel_does_not_keep_is_told(
    release: ModuleType, tmp_path: Path, content: bytes | None, named: dict[str, str], fault: str
) -> None:
    assert release.faults(wheel(tmp_path, content, **named), PLATFORM) == [fault]


def test_the_hook_knows_the_platforms_of_a_release(release: ModuleType, checkout: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling, of the group dev, isn't installed")
    hook = loaded(checkout / "hatch_build.py")
    assert hook.TARGETS.keys() == release.MACHINES.keys()
    assert all(target.endswith(f".{'.'.join(map(str, release.GLIBC))}") for target in hook.TARGETS.values())
