"""Build hook: compiles the machine (logscan/machine) into the wheel, or into the checkout where that is installed editable."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

ZIGLANG = "ziglang==0.15.2"
"""The wheel whose compiler is used where there is no other."""

HAS_ZIGLANG = {
    *("manylinux_2_12_x86_64", "musllinux_1_1_x86_64", "manylinux_2_17_aarch64", "musllinux_1_1_aarch64"),
    *("macosx_12_0_x86_64", "macosx_12_0_arm64", "win_amd64", "win_arm64"),
}
"""The platforms that it has wheels for: asked for on another one it would make the installation fail."""

PLATFORM = "LOGSCAN_PLATFORM"
"""The variable that asks for a wheel for one of these platforms, whatever this machine is; a failed compile fails then."""

TARGETS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
}


class MachineHook(BuildHookInterface):
    """A failed compile gives a pure wheel that says why; ``LOGSCAN_PURE=1`` asks for one."""

    def dependencies(self) -> list[str]:
        """Ask for a compiler where none is here that works, and where it can be had."""
        compiling = self._compiling()
        if os.environ.get(compiling.PURE) == "1":
            return []
        if os.environ.get(PLATFORM):
            return [ZIGLANG]
        if not HAS_ZIGLANG & {tag.platform for tag in sys_tags()}:
            return []
        return [] if any(not compiling.tried(compiler) for compiler in compiling.compilers()) else [ZIGLANG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what came of it: in the wheel's tag, or in a file in the library's place."""
        compiling = self._compiling()
        self.scratch = tempfile.TemporaryDirectory()
        folder = compiling.HERE if version == "editable" else Path(self.scratch.name)
        library, reason = folder / compiling.NAME, folder / compiling.REASON
        for old in (library, reason):
            old.unlink(missing_ok=True)
        why_not = self._built(compiling, library)
        if why_not:
            reason.write_text(why_not + "\n", "utf-8")
        else:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{os.environ.get(PLATFORM) or local_platform()}"
        if version != "editable":
            made = reason if why_not else library
            build_data["force_include"][str(made)] = f"logscan/machine/{made.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        self.scratch.cleanup()

    def _built(self, compiling: ModuleType, library: Path) -> str:
        """Make the library; return why there is none."""
        if os.environ.get(compiling.PURE) == "1":
            return f"it was installed with {compiling.PURE}=1"
        platform = os.environ.get(PLATFORM)
        if platform:
            zig = [sys.executable, *compiling.ZIG, "-target", TARGETS[platform]]
            compiling.compile_library(library, zig, (*compiling.FLAGS, "-s"))
            return ""
        try:
            compiling.build(library)
        except compiling.CompileError as error:
            self.app.display_warning(f"logscan is built without its compiled part, and slower: {error}")
            return str(error)
        return ""

    def _compiling(self) -> ModuleType:
        path = Path(self.root) / "logscan" / "machine" / "compiling.py"
        spec = importlib.util.spec_from_file_location("compiling", path)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found


def local_platform() -> str:
    """Return this machine's platform as wheels name it; not manylinux, which would promise more than was looked at."""
    return next(tag.platform for tag in sys_tags() if not tag.platform.startswith(("manylinux", "musllinux")))
