"""Live figures: :func:`explore` gives a reader a slider that needs no kernel.

Every chapter has one; ``explorer`` links controls to frames, ``svg`` prepares a frame.
"""

from fnequiv.widgets.explorer import Explorer as Explorer
from fnequiv.widgets.explorer import explore as explore

__all__ = ["Explorer", "explore"]
