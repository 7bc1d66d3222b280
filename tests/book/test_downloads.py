"""The notebook behind a chapter's download button is the one made for readers, not the build's own."""

import re

import nbformat

BUTTON = re.compile(r'<a href="([^"]+\.ipynb)"[^>]*class="[^"]*btn-download-notebook-button')


def test_every_chapter_offers_a_notebook_that_says_what_to_install(book):
    chapters = [*book.glob("book/[0-9]_*/*.html"), *book.glob("book/appendix/*.html")]
    assert len(chapters) >= 12
    for page in chapters:
        links = BUTTON.findall(page.read_text(encoding="utf-8"))
        assert len(links) == 1, page
        notebook = nbformat.read(page.parent / links[0], as_version=4)
        nbformat.validate(notebook)
        first = notebook.cells[0].source
        assert f"/fnequiv/{page.relative_to(book).as_posix()})" in first, f"{page}: no way back to the page"
        assert "Exploring the Complexity" in first
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert re.search(r'%pip install .*"fnequiv\[notebooks\] @ git\+https://', code[0].source), page
        assert not any(cell.outputs for cell in code), page
