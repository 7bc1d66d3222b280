"""Draw the README's picture: a network, its permuted twin, and the one function that both compute.

Run ``python book/_figures/twins.py``; it writes ``book/_static/twins.svg``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OUTPUT = Path(__file__).resolve().parents[1] / "_static" / "twins.svg"
COLOURS = np.array(["#0072b2", "#d55e00", "#009e73"])

# One hidden layer of three tanh neurons: a row each of (incoming weight, bias, outgoing weight).
NETWORK = np.array([[2.0, 1.2, 0.9], [-1.5, 0.3, 0.6], [3.0, -2.0, -0.8]])
ORDER = np.array([2, 0, 1])
TWIN = NETWORK[ORDER]


def evaluate(network: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return f(x) = sum_i v_i tanh(w_i x + b_i) for the rows (w_i, b_i, v_i)."""
    w, b, v = network.T
    return np.tanh(np.outer(x, w) + b) @ v


def draw_network(ax: Axes, network: np.ndarray, colours: np.ndarray, title: str, scale: float = 1.0) -> None:
    """Draw input, hidden neurons and output; a line's width is the size of its weight, dashes a negative sign."""
    heights = np.linspace(1, -1, len(network))
    for (w, b, v), y, colour in zip(network, heights, colours, strict=True):
        for x, value in ((0, w), (1, v)):
            ends = [0, y] if x == 0 else [y, 0]
            ax.plot([x, x + 1], ends, color=colour, lw=1 + abs(value), ls="-" if value > 0 else (0, (2, 1)), zorder=1)
            ax.annotate(f"{value:g}", (x + 0.5, y / 2), ha="center", va="center", fontsize=8 * scale, zorder=3,
                        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"})  # fmt: skip
        ax.plot(1, y, "o", ms=24 * scale, mfc=colour, mec="white", zorder=2)
        ax.annotate(f"{b:g}", (1, y), ha="center", va="center", fontsize=8 * scale, color="white", zorder=3)
    for x, label in ((0, "$x$"), (2, "$f$")):
        ax.plot(x, 0, "o", ms=24 * scale, mfc="white", mec="0.3", zorder=2)
        ax.annotate(label, (x, 0), ha="center", va="center", zorder=3)
    ax.set(xlim=(-0.25, 2.25), ylim=(-1.35, 1.35), title=title)
    ax.axis("off")


def main() -> None:
    """Draw the three panels and save them."""
    x = np.linspace(-3, 3, 301)
    f, g = evaluate(NETWORK, x), evaluate(TWIN, x)
    figure = Figure(figsize=(9, 2.9), facecolor="white", layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_network(left, NETWORK, COLOURS, r"a network $\theta$")
    draw_network(middle, TWIN, COLOURS[ORDER], r"its neurons reordered: $\theta'$")
    right.plot(x, f, color="0.75", lw=5, label=r"$f(x;\theta)$")
    right.plot(x, g, color="black", lw=1.2, ls="--", label=r"$f(x;\theta')$")
    right.set(title=f"one function\n(largest difference {np.abs(f - g).max():.0e})", xlabel="$x$")
    right.legend(frameon=False)
    right.spines[["top", "right"]].set_visible(False)
    with mpl.rc_context({"svg.hashsalt": "fnequiv", "svg.fonttype": "path"}):
        figure.savefig(OUTPUT, metadata={"Date": None})


if __name__ == "__main__":
    main()
