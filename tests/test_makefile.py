"""What `make` does around the programs that it calls: those are small scripts here."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
JUPYTER_BOOK = """#!/bin/sh
mkdir -p _build/.doctrees
case "$*" in *linkcheck*)
  mkdir -p _build/html
  if [ -e stops ]; then exit 2; fi
  echo "page:1: [broken] there" > _build/html/output.txt
  exit 1
esac
"""
PYTHON = """#!/bin/sh
echo "begin $*" >> asked
sleep 0.1
echo "end $*" >> asked
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the Makefile, one extension, and programs that do little more than to say that they ran."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    files = {
        "bin/jupyter-book": JUPYTER_BOOK,
        "bin/python": PYTHON,
        "book/_ext/one.py": "ONE = 1\n",
        **dict.fromkeys(("pyproject.toml", "constraints.txt", "installed"), ""),
        **dict.fromkeys(("tests/book/package.json", "tests/book/package-lock.json", "tests/book/node_modules"), ""),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o755)
    return tmp_path


def make(project, *goals):
    command = ["make", *goals, "BIN=bin", "INSTALLED=installed"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_pages_are_read_again_after_a_change_of_an_extension(project):
    kept = project / "_build/.doctrees/kept"
    assert make(project, "book").returncode == 0
    kept.touch()
    assert make(project, "book").returncode == 0
    assert kept.exists()
    (project / "book/_ext/one.py").write_text("ONE = 2\n", encoding="utf-8")
    assert make(project, "book").returncode == 0
    assert not kept.exists()


def test_pages_are_read_again_after_a_build_that_failed(project):
    assert make(project, "book").returncode == 0
    (project / "_build/.doctrees/kept").touch()
    program = project / "bin/jupyter-book"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert make(project, "book").returncode != 0
    program.write_text(JUPYTER_BOOK, encoding="utf-8")
    assert make(project, "book").returncode == 0
    assert not (project / "_build/.doctrees/kept").exists()


def test_the_report_on_links_is_of_this_run_or_not_there(project):
    report = project / "_build/links.txt"
    done = make(project, "links")
    assert done.returncode != 0  # a link is broken
    assert "[broken]" in report.read_text(encoding="utf-8")
    assert "No such file" not in done.stderr
    (project / "stops").touch()
    assert make(project, "links").returncode != 0
    assert not report.exists()


def test_the_course_is_made_one_after_another_in_an_empty_folder(project):
    course, asked = project / "_build/course", project / "asked"
    course.mkdir(parents=True)
    (course / "exercises-of_old.html").touch()
    done = make(project, "-j4", "course")
    assert done.returncode == 0, done.stderr
    programs = [f"book/_course/{name}.py" for name in ("sheets", "slides", "printing")]
    lines = asked.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "_course" in line] == [
        f"{at} {name}" for name in programs for at in ("begin", "end")
    ]
    assert not course.exists()  # nothing is written here
