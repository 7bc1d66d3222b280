"""A Sphinx extension: what the LaTeX builder needs to print the book (`make pdf`).

Pictures are SVG: librsvg turns them into PDF. A live figure becomes its static picture. The class is Sphinx's own
manual; fonts and boxes are in ``printed.sty``.
"""

from __future__ import annotations

import re
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.transforms.post_transforms.images import ImageConverter

STATIC = re.compile(r'<img class="fnequiv-static" alt="([^"]*)" src="data:image/svg\+xml,([^"]*)">')
TITLE = r"""\begin{{titlepage}}
\vspace*{{\stretch{{1}}}}
{{\sffamily\bfseries\Huge\raggedright {title}\par}}
\bigskip
{{\Large An executable book on the paper of that name by G. Shen\par}}
\vspace{{\stretch{{2}}}}
{{\raggedright The book lives at \url{{{address}}}. There its figures move and its code runs; on paper a live
figure stands at its first position.\par\medskip {author}, \today. Text: CC BY 4.0. Code: MIT.\par}}
\end{{titlepage}}
"""
# Jupyter Book calls the contents by the name of their first part.
CONTENTS = r"\renewcommand{\contentsname}{Contents}\sphinxtableofcontents"


class StaticFigures(SphinxPostTransform):
    """Put the static picture of a live figure in the place of what MyST-NB would choose: its name as text."""

    default_priority = 3  # before MyST-NB chooses among the forms of an output
    builders = ("latex",)

    def run(self, **_: Any) -> None:
        """Replace each output that holds a static picture."""
        for page in list(self.document.findall(nodes.raw)):
            found = STATIC.search(page.astext())
            output = _output(page)
            if found and output is not None:
                output.replace_self(self.picture(found[1], unquote(found[2]).encode()))

    def picture(self, alt: str, svg: bytes) -> nodes.image:
        """Return an image whose file stands where Sphinx finds it to convert it."""
        folder = Path(self.app.doctreedir, "static-figures")
        folder.mkdir(exist_ok=True)
        path = folder / f"{sha256(svg).hexdigest()[:24]}.svg"
        path.write_bytes(svg)
        self.env.images.add_file(self.env.docname, str(path))
        return nodes.image(alt=alt, uri=str(path), candidates={"image/svg+xml": str(path)})


def _output(node: nodes.Node | None) -> nodes.Element | None:
    """Return the output of a cell that offers this node as one of its forms."""
    while node is not None:
        if isinstance(node, nodes.Element) and node.get("nb_element") == "mime_bundle":
            return node
        node = node.parent
    return None


class Librsvg(ImageConverter):
    """SVG to PDF, with rsvg-convert."""

    conversion_rules = [("image/svg+xml", "application/pdf")]  # noqa: RUF012 (as in the base class)

    def match(self, node: nodes.image) -> bool:
        """Convert for the LaTeX builder alone: others that lack SVG have no use for PDF."""
        return self.app.builder.name == "latex" and super().match(node)

    def is_available(self) -> bool:
        """Say yes: `make pdf` has looked for the program before the build."""
        return True

    def convert(self, _from: str, _to: str) -> bool:
        """Write the PDF of a picture."""
        subprocess.run(["rsvg-convert", "--format=pdf", "--output", _to, _from], check=True)
        return True


def manual(app: Sphinx, config: Config) -> None:
    """Use Sphinx's manual, and a title page that says where the book lives.

    The class that Jupyter Book has set needs fonts that Debian packs with half a gigabyte of others.
    """
    title = TITLE.format(title=config.html_title, author=config.author, address=config.html_baseurl)
    config["latex_theme"] = "manual"
    config["latex_elements"] |= {"preamble": r"\usepackage{printed}", "maketitle": title, "tableofcontents": CONTENTS}
    config["latex_additional_files"] = [str(Path(__file__).with_name("printed.sty"))]


def numbered_by_chapter(app: Sphinx) -> None:
    """Number exercises and statements as the pages do; Jupyter Book, for the sake of its parts, adds the section."""
    app.config["numfig_secnum_depth"] = 1


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the steps, each behind Jupyter Book's own."""
    app.add_post_transform(StaticFigures)
    app.add_post_transform(Librsvg)
    app.connect("config-inited", manual, priority=900)
    app.connect("builder-inited", numbered_by_chapter, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
