"""What running a chapter costs: the peak memory of its kernel, and the day, kept with its outputs in the cache.

MyST-NB runs a chapter and notes the seconds. Here its client is extended: the manager of the kernel reads the most
memory that the kernel's process ever held (Linux: ``VmHWM``) just before it ends. The figures go into the notebook's
``language_info``, which the cache gives back with the outputs, so a cached chapter has those of its own execution.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from myst_nb.core import execute
from myst_nb.core.execute import cache

KEY = "execution"
run_notebook = cache.single_nb_execution


def peak_memory(pid: int) -> int | None:
    """Return the most memory that a process has held, in bytes, or None where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text() if status.is_file() else "", re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def run_measured(notebook: Any, **options: Any) -> Any:
    """Run a notebook as jupyter-cache does, and write into its metadata what its kernel held and when."""
    peaks: list[int | None] = [None]

    class Manager(AsyncKernelManager):
        async def _async_shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
            pid = getattr(self.provisioner, "pid", None)
            peaks.append(peak_memory(pid) if pid else None)
            await super()._async_shutdown_kernel(now=now, restart=restart)

        shutdown_kernel = _async_shutdown_kernel

    result = run_notebook(notebook, kernel_manager_class=Manager, **options)
    day = datetime.now(UTC).date().isoformat()
    notebook.metadata.setdefault("language_info", {})[KEY] = {"peak_bytes": peaks[-1], "day": day}
    return result


class Client(cache.NotebookClientCache):
    """MyST-NB's client of the cache; what it tells of an execution includes the peak memory and the day."""

    def start_client(self) -> None:
        """Run the notebook or find its outputs, then add its figures; None for what was not measured."""
        super().start_client()
        found = self.notebook.metadata.get("language_info", {}).get(KEY, {})
        if self.exec_metadata is not None:
            self.exec_metadata |= {"peak_bytes": found.get("peak_bytes"), "day": found.get("day")}


def install() -> None:
    """Have MyST-NB use the measuring client."""
    cache.single_nb_execution = run_measured
    execute.NotebookClientCache = Client
