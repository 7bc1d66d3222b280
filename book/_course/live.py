"""The live figures of a built chapter, as controls and frames that a page without any widgets can show.

Pictures come from the state of the widgets that the page carries: a control for each parameter, a stack of frames for
the last one and stacks of stacks for those before it, as ``fnequiv.widgets.explore`` builds them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any


def player(models: dict[str, Any], figure: str) -> str:
    """Return one figure: its controls, and its frames in templates named by the controls' positions."""
    *controls, stack = _children(models, figure)
    inputs = "".join(_control(models[name]["state"]) for name in controls)
    found = list(_frames(models, stack))
    frames = "".join(f'<template data-at="{at}">{picture}</template>' for at, picture in found)
    return f'<div class="live"><div class="controls">{inputs}</div>{frames}<div class="frame">{found[0][1]}</div></div>'


def _children(models: dict[str, Any], name: str) -> list[str]:
    return [child.removeprefix("IPY_MODEL_") for child in models[name]["state"]["children"]]


def _frames(models: dict[str, Any], name: str, at: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the position of each frame, as in '0 3', and its picture."""
    if models[name]["model_name"] == "HTMLModel":
        yield " ".join(map(str, at)), models[name]["state"]["value"]
        return
    for index, child in enumerate(_children(models, name)):
        yield from _frames(models, child, (*at, index))


def _control(state: dict[str, Any]) -> str:
    """Return a slider or a drop-down list, as ``explore`` chose."""
    labels = state["_options_labels"]
    name = html.escape(state["description"])
    if state["_model_name"] == "SelectionSliderModel":
        texts = html.escape(json.dumps(labels))
        return (
            f'<label>{name} <input type="range" min="0" max="{len(labels) - 1}" value="0" step="1" '
            f'aria-valuetext="{html.escape(labels[0])}" data-labels="{texts}"><output>{html.escape(labels[0])}</output>'
            "</label>"
        )
    options = "".join(f"<option>{html.escape(label)}</option>" for label in labels)
    return f"<label>{name} <select>{options}</select></label>"
