"""Execute downloaded notebooks as a reader would, outside the repository: `make test-notebooks`.

    python execute.py FOLDER [NAME ...]     the notebooks below FOLDER, or those whose names are given

The Python that runs this is the reader's: the package, its extra "notebooks", nbclient and ipykernel, nothing else.
Each notebook runs in an empty folder. It fails if a cell raises, if anything comes on standard error, if the first
cell found something to install, or if a module came from this repository's working tree. A chapter that does not
import PyTorch itself has to run without it: a kernel in the browser (Pyodide) has none.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("a chapter that does not import torch needs it all the same")

sys.meta_path.insert(0, NoTorch())
"""
LAST_CELL = """
import json, resource, sys
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([sorted(filter(None, files.values())), held]))
"""


def problems(notebook, files):
    """Yield what is wrong with an executed notebook."""
    install = next(cell for cell in notebook.cells if "%pip install" in cell.source)
    if install.outputs:
        yield f"the cell that installs should have had nothing to do: {install.outputs}"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                yield f"standard error: {output.text[:300]}"
    own = [name for name in files if ROOT in Path(name).parents and Path(sys.prefix) not in Path(name).parents]
    if own:
        yield f"imported from the working tree: {own}"


def execute(path):
    """Execute a notebook in an empty folder; return its problems and the kernel's largest memory in bytes."""
    notebook = nbformat.read(path, as_version=4)
    if not any(re.search(r"(?m)^\s*(import|from) torch\b", cell.source) for cell in notebook.cells):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(NO_TORCH))
    notebook.cells.append(nbformat.v4.new_code_cell(LAST_CELL))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
        except Exception as problem:
            return [str(problem)], 0
        finally:
            os.chdir("/")
    files, held = json.loads(notebook.cells.pop().outputs[0].text)
    return list(problems(notebook, files)), held


def main(folder, *names):
    """Execute the notebooks, say what each took, and return how many failed."""
    os.environ.pop("PYTHONPATH", None)
    found = {path.stem: path.resolve() for path in sorted(Path(folder).rglob("*.ipynb"))}
    missing = set(names) - set(found)
    assert found, f"no notebooks below {folder}"
    assert not missing, f"no notebooks {sorted(missing)} below {folder}"
    failed = 0
    for name in names or found:
        start = time.perf_counter()
        wrong, memory = execute(found[name])
        took = time.perf_counter() - start
        print(f"{name:20} {took:6.1f} s {memory / 2**20:6.0f} MiB", *wrong, sep="\n    ", flush=True)
        failed += bool(wrong)
    print(f"{len(names or found) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) > 0)
