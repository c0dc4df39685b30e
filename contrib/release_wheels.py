"""Builds the wheels of a release, for manylinux on x86_64 and aarch64, and looks whether they keep what their names promise.

    python contrib/release_wheels.py [FOLDER]          (dist/, if no folder is named)

It needs the group ``dev`` and PyPI: the compiler is the one of the wheel ``ziglang``, which compiles for any of these platforms
from any of them. The same sources give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MACHINES = {"manylinux_2_17_x86_64": 62, "manylinux_2_17_aarch64": 183}
"""The platforms, with the number that an ELF file has for the processor."""

GLIBC = (2, 17)


def build(platform: str, folder: Path) -> Path:
    """Build one wheel."""
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", made, str(ROOT)],
            check=True,
            env=os.environ | {"LOGSCAN_PLATFORM": platform, "LOGSCAN_PURE": ""},
        )
        (wheel,) = Path(made).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, folder / wheel.name))


def faults(wheel: Path, platform: str) -> list[str]:
    """Return what a wheel doesn't keep of what its name promises."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name for name in names if name.endswith(".dist-info/WHEEL"))
        said = archive.read(info).decode()
        library = archive.read("logscan/machine/_machine.so") if "logscan/machine/_machine.so" in names else b""
    found = []
    if not wheel.name.endswith(f"-py3-none-{platform}.whl") or f"Tag: py3-none-{platform}\n" not in said:
        found.append("another tag")
    if "Root-Is-Purelib: false" not in said:
        found.append("it says that it is pure")
    if library[:5] != b"\x7fELF\x02" or int.from_bytes(library[18:20], "little") != MACHINES[platform]:
        found.append("no library for this processor")
    versions = {tuple(map(int, each.split(b"."))) for each in re.findall(rb"GLIBC_([0-9][0-9.]*)\0", library)}
    late = sorted(version for version in versions if version > GLIBC)
    if late:
        found.append(f"it needs glibc {'.'.join(map(str, late[-1]))}")
    return found


def main() -> None:
    """Build all of them."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")
    for platform in MACHINES:
        wheel = build(platform, folder)
        found = faults(wheel, platform)
        if found:
            raise SystemExit(f"{wheel}: {', '.join(found)}")
        print(wheel)


if __name__ == "__main__":
    main()
