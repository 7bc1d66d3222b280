"""Run every chapter in JupyterLab, opened by the address that its rocket on the page leads to: `make test-binder`.

    python binder.py FOLDER [NAME ...]     all pages of the built book with a rocket, or those named

The FOLDER has a clone of the repository, ``environment`` with what ``environment.yml`` lists and what ``postBuild``
does, and ``home`` with what that left there. Each chapter has a server and a copy of that home, as a visit to Binder
has. In Chromium all its cells run, every control of every live figure is moved by keys, and its download is opened.
Binder differs: there conda installs what pip does here, and a container limits the memory, which is measured here: the
sum of the most that the server and the kernel ever held. This needs Linux.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
LIMIT, PATIENCE = 2000, 600  # MB for a visit, seconds for a chapter
LAUNCHED = re.compile(r'href="https://mybinder\.org/[^"]*\?urlpath=lab/tree/([^"]+)\.md"')
FIGURE, STATIC = ".jp-OutputArea-output > .widget-vbox", "fnequiv-static"
CONTROL = ".widget-slider .noUi-handle, select"
SHOWN = """figure => [...figure.querySelectorAll('svg')].filter(svg => svg.checkVisibility())
    .map(svg => svg.outerHTML).join()"""
# What JupyterLab itself knows of the notebook in front, once that is at rest.
AT_REST = """([path, ran]) => {
    const front = window.jupyterapp?.shell.currentWidget;
    if (front?.context?.path !== path || front.sessionContext.kernelDisplayStatus !== 'idle') return false;
    const cells = [...front.content.model.cells].filter(cell => cell.type === 'code');
    const counts = cells.map(cell => cell.executionCount), total = front.content.model.cells.length;
    if (cells.some(cell => cell.executionState !== 'idle') || (ran && !counts.some(count => count))) return false;
    return {total, counts, outputs: cells.flatMap(cell => cell.outputs.toJSON())};
}"""


@contextlib.contextmanager
def visit(folder):
    """Start a server, wait until it answers, and yield its address and the number of its process."""
    home = shutil.copytree(folder / "home", folder / "visit", dirs_exist_ok=True)
    variables = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/user/reader/"
    command = [folder / "environment/bin/jupyter", "lab", f"--port={port}", "--ServerApp.base_url=/user/reader/",
               "--IdentityProvider.token=", "--no-browser", "--allow-root", "--expose-app-in-browser"]  # fmt: skip
    with open(folder / "server.log", "a", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=folder / "repository", env=variables, stdout=log, stderr=log)
    try:
        while True:
            assert server.poll() is None, f"the server has stopped: see {log.name}"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}api/status").close()
                break
            time.sleep(0.5)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(home)


def held(pid):
    """Return the sum of the most memory that a process and each that it started ever held, in MB."""
    process = Path(f"/proc/{pid}")
    try:
        most = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text(encoding="ascii"))
        children = [child for task in process.glob("task/*/children") for child in task.read_text().split()]
    except OSError:  # it has just ended
        return 0
    return (int(most[1]) * 1.024e-3 if most else 0) + sum(map(held, children))


def at_rest(page, path, ran=False):
    """Wait until the notebook is there and its kernel idle, once it ran if asked for; return what is in it."""
    return page.wait_for_function(AT_REST, arg=[path, ran], polling=200, timeout=PATIENCE * 1000).json_value()


def moved(page, figure, control):
    """Say whether keys on a control of a live figure change its picture."""
    before = figure.evaluate(SHOWN)
    listed = control.evaluate("control => control.matches('select')")
    control.focus()
    for _ in range(20):  # two neighbouring frames may be equal: an invariance is what some figures are about
        for key in ("Space", "ArrowDown", "Enter") if listed else ("ArrowRight",):
            page.keyboard.press(key)
            page.wait_for_timeout(200)
        if figure.evaluate(SHOWN) != before != "":
            return True
    return False


def run(page, address, pid, path):
    """Open a chapter, run its cells, move its figures; return what a report says of it."""
    page.goto(f"{address}lab/tree/{path}")
    at_rest(page, path)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    start = time.perf_counter()
    page.locator('[data-command="runmenu:run-all"]').click()
    found = at_rest(page, path, ran=True)
    took = time.perf_counter() - start
    wrong = [out for out in found["outputs"] if out["output_type"] == "error" or out.get("name") == "stderr"]
    assert not wrong, wrong
    assert all(found["counts"]), f"cells that did not run: {found['counts']}"
    figures = page.locator(FIGURE).all()
    assert len(figures) == sum(STATIC in str(out.get("data")) for out in found["outputs"]), "figures are not live"
    controls = [(figure, control) for figure in figures for control in figure.locator(CONTROL).all()]
    still = [control.inner_text() for figure, control in controls if not moved(page, figure, control)]
    assert not still, f"controls that move nothing: {still}"
    memory = held(pid)
    assert memory < LIMIT, f"{memory:.0f} MB"
    sizes = f"{len(found['counts'])} cells, {len(figures)} live figures, {len(controls)} controls"
    return f"{took:4.0f} s {memory:5.0f} MB  {sizes}"


def main(folder, *names):
    """Visit the chapters, say how each went, and return how many failed."""
    folder, built = Path(folder).resolve(), ROOT / "_build/html"
    found = [source for page in sorted(built.rglob("*.html")) for source in LAUNCHED.findall(page.read_text())]
    chapters = {Path(source).name: source for source in found}
    assert chapters, f"no page in {built} leads to Binder: run `make book` first"
    failed = 0
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name in names or chapters:
            copy = Path(shutil.copy(built / "_sources" / f"{chapters[name]}.ipynb", folder / "repository"))
            with visit(folder) as (address, pid), browser.new_page() as page:
                try:
                    report = run(page, address, pid, f"{chapters[name]}.md")
                    page.goto(f"{address}lab/tree/{copy.name}")
                    cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
                    assert at_rest(page, copy.name)["total"] == len(cells), "the download opens as something else"
                except (AssertionError, Error) as problem:
                    failed, report = failed + 1, f"FAILED: {problem}"
                    page.screenshot(path=folder / f"{name}.png")
            print(f"{name:20} {report}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) > 0)
