"""The book as a PDF, by LaTeX (`make pdf`).

    python book/_course/printing.py [FOLDER]

Jupyter Book writes LaTeX from the pages that `make book` has read, `latexmk` typesets it. What Debian's packages do not
bring is named before anything is built.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from pages import ROOT

PROGRAMS = {
    "latexmk": "latexmk",
    "xelatex": "texlive-xetex",
    "rsvg-convert": "librsvg2-bin",
    "pdftohtml": "poppler-utils",
}
FILES = {
    "fontspec.sty": "texlive-latex-recommended",
    "tabulary.sty": "texlive-latex-extra",
    "unicode-math.sty": "texlive-latex-recommended",
    "pzdr.tfm": "texlive-fonts-recommended",
    "texgyretermes-math.otf": "fonts-texgyre-math",
}
FONTS = {"FreeSerif": "fonts-freefont-otf", "DejaVu Sans Mono": "fonts-dejavu-core"}
ERROR = re.compile(r"^(?:!.*|[^\n]*:\d+: .*)$", re.MULTILINE)


def missing() -> list[str]:
    """Return the Debian packages that have what is not here."""
    lacking = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if shutil.which("kpsewhich"):
        lacking |= {package for name, package in FILES.items() if not _answer("kpsewhich", name)}
    else:
        lacking |= set(FILES.values())
    families = _answer("fc-list", ":", "family") if shutil.which("fc-list") else ""
    return sorted(lacking | {package for name, package in FONTS.items() if name not in families})


def _answer(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def errors(log: str) -> list[str]:
    """Return the lines of LaTeX's log that say what is wrong."""
    return ERROR.findall(log)


def main(folder: str = "_build/course") -> None:
    """Write the PDF and say where it is."""
    if lacking := " ".join(missing()):
        sys.exit(
            f"`make pdf` needs Debian packages that are not here:\n  apt install --no-install-recommends {lacking}"
        )
    builder = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([builder, "build", ".", "--builder", "latex"], cwd=ROOT, check=True)
    source = ROOT / "_build/latex"
    command = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "-silent"]
    done = subprocess.run([*command, "fnequiv.tex"], cwd=source, check=False)
    if done.returncode:
        log = (source / "fnequiv.log").read_text(encoding="utf-8", errors="replace")
        sys.exit("\n".join(["LaTeX stopped; _build/latex/fnequiv.log has more:", *errors(log)[:10]]))
    path = ROOT / folder / "fnequiv.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "fnequiv.pdf", path)
    print(f"The PDF is at {path.as_uri()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
