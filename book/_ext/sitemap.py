"""Write sitemap.xml: every page of the book, also where a build wrote only those that had changed."""

from pathlib import Path
from xml.sax.saxutils import escape

from sphinx.application import Sphinx


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the addresses of all pages below ``html_baseurl`` into the built site."""
    if exception is None and app.builder.format == "html":
        pages = (app.config.html_baseurl + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
        urls = "".join(f"<url><loc>{escape(page)}</loc></url>\n" for page in pages)
        head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        (Path(app.outdir) / "sitemap.xml").write_text(f"{head}{urls}</urlset>\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
