"""A Sphinx extension: what a search engine and the preview of a link say of a page is its front matter's description.

Without it, the preview would be the first words of the page, formulas and all, in raw TeX.
"""

from __future__ import annotations

from html import escape
from typing import Any

from sphinx.application import Sphinx


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Write the page's description where search engines look, and hand it to sphinxext-opengraph."""
    fields = context.get("meta") or {}
    if text := fields.get("description"):
        fields["og:description"] = text
        context["metatags"] += f'<meta name="description" content="{escape(text)}" />\n'


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect before sphinxext-opengraph."""
    app.connect("html-page-context", describe, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
