"""Build hook: compiles the machine (logscan/machine) into the wheel, or into the checkout where that is installed editable."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class MachineHook(BuildHookInterface):
    """A failed compile gives a pure wheel; ``LOGSCAN_PURE=1`` asks for one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what came of it in the wheel's tag."""
        if self.target_name != "wheel" or os.environ.get("LOGSCAN_PURE") == "1":
            return
        path = Path(self.root) / "logscan" / "machine" / "compiling.py"
        spec = importlib.util.spec_from_file_location("compiling", path)
        assert spec is not None
        assert spec.loader is not None
        compiling = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compiling)
        for compiler in compiling.compilers():
            out = path.with_name(compiling.NAME)
            try:
                compiling.compile_library(out, compiler)
            except compiling.CompileError as error:
                self.app.display_warning(f"logscan is built without its compiled part: {error}")
                continue
            if version != "editable":
                build_data["force_include"][str(out)] = f"logscan/machine/{compiling.NAME}"
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
            return
