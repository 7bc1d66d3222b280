"""Draw the cover: one network of four neurons, the 24 orders of its neurons, and the one curve that all compute.

Each order is a point of the space of the four biases. All 24 points have the same sum of coordinates, so they lie in
a space of three dimensions, where they are the corners of a permutohedron. An edge exchanges two neurons whose biases
are neighbours on the scale, and has a colour for each such pair. Run ``python book/_figures/cover.py``; it writes
``book/_static/cover.svg`` and, for links that are shared, ``book/_static/cover.png`` of 1200 x 630 pixels.
"""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon
from scipy.spatial import ConvexHull
from twins import draw_network, evaluate

from fnequiv.plotting import PALETTE, STYLE

STATIC = Path(__file__).resolve().parents[1] / "_static"
COLOURS = np.array(PALETTE[:4])
AZIMUTH, ELEVATION = 82, 25  # no two cards overlap

# One hidden layer of four tanh neurons: a row each of (incoming weight, bias, outgoing weight).
NETWORK = np.array([[2.0, -1.5, 0.9], [-1.6, -0.5, 0.7], [2.6, 0.5, -0.8], [1.2, 1.5, 0.6]])
ORDERS = [np.array(order) for order in permutations(range(4))]


def corners() -> np.ndarray:
    """Return the 24 points of biases in an orthonormal basis of the space of those with the same sum."""
    biases = np.stack([NETWORK[order, 1] for order in ORDERS])
    basis = np.array([[-1, 1, 0, 0], [-1, -1, 2, 0], [-1, -1, -1, 3]]) / np.sqrt([[2], [6], [12]])
    return biases @ basis.T


def edges() -> list[tuple[int, int, int]]:
    """Return (order, order, pair) for any two orders that differ by exchanging neurons ``pair`` and ``pair + 1``."""
    found = []
    for (i, first), (j, second) in combinations(enumerate(ORDERS), 2):
        moved = np.flatnonzero(first != second)
        low, high = sorted(first[moved[:2]])
        if len(moved) == 2 and high == low + 1:
            found.append((i, j, int(low)))
    return found


def turned(points: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """Return points as a viewer sees them: to the right, upwards, and towards the eye."""
    a, e = np.radians([azimuth, elevation])
    right = [-np.sin(a), np.cos(a), 0]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    eye = [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)]
    return points @ np.array([right, up, eye]).T


def faces(points: np.ndarray) -> list[np.ndarray]:
    """Return the corners of each face in their order around it; its normal points outwards."""
    hull = ConvexHull(points)
    found = []
    for plane in np.unique(hull.equations.round(6), axis=0):
        corners_of = np.flatnonzero(np.abs(points @ plane[:3] + plane[3]) < 1e-4)
        flat = points[corners_of] - points[corners_of].mean(axis=0)
        across = np.cross(plane[:3], flat[0])
        found.append(corners_of[np.argsort(np.arctan2(flat @ across, flat @ flat[0]))])
    return found


def draw_edge(ax: Axes, start: np.ndarray, end: np.ndarray, pair: int, **style: Any) -> None:
    """Draw an exchange: two strands in the colours of the two neurons, which change sides on the way."""
    s = np.linspace(0, 1, 13)[:, None]
    along = end - start
    aside = np.array([-along[1], along[0]]) / np.hypot(*along)
    for side, colour in ((1, COLOURS[pair]), (-1, COLOURS[pair + 1])):
        line = start + s * along + side * 0.022 * np.cos(np.pi * s) * aside
        ax.add_line(Line2D(*line.T, color=colour, lw=2.2, solid_capstyle="round", **style))


def draw_order(ax: Axes, centre: np.ndarray, order: np.ndarray, zorder: float) -> None:
    """Draw a twin as a card with its four neurons from top to bottom; the one in canonical order has a ring."""
    ringed = bool(np.all(order == np.arange(4)))
    width, height = 0.16, 0.5
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    box = FancyBboxPatch(corner, width, height, fc="white", zorder=zorder)
    box.set(edgecolor="black" if ringed else "0.55", linewidth=2.4 if ringed else 0.8)
    box.set_boxstyle("round", pad=0, rounding_size=width / 2)
    ax.add_patch(box)
    for place, colour in zip(np.linspace(0.36, -0.36, 4), COLOURS[order], strict=True):
        ax.add_patch(Circle((centre[0], centre[1] + place * height), 0.05, color=colour, lw=0, zorder=zorder))


def draw_orbit(ax: Axes) -> None:
    """Draw the permutohedron from behind to the front; its faces let what is behind them shine through."""
    seen = turned(corners(), AZIMUTH, ELEVATION)
    light = np.array([-0.35, 0.6, 0.72])
    front: set[int] = set()
    for face in faces(seen):
        corner = seen[face]
        normal = np.cross(corner[1] - corner[0], corner[2] - corner[1])
        normal /= np.linalg.norm(normal) * np.sign(normal @ corner.mean(axis=0))
        if normal[2] > 0:
            front |= set(face.tolist())
            shade = 0.90 + 0.09 * max(normal @ light, 0)
            ax.add_patch(
                Polygon(corner[:, :2], fc=(shade - 0.03, shade - 0.01, shade + 0.01), alpha=0.78, lw=0, zorder=5)
            )
    for i, j, pair in edges():
        near = i in front and j in front
        draw_edge(ax, seen[i, :2], seen[j, :2], pair, zorder=6 if near else 1)
    for i, order in enumerate(ORDERS):
        draw_order(ax, seen[i, :2], order, zorder=(7 if i in front else 2) + seen[i, 2] / 10)
    reach = np.abs(seen[:, :2]).max(axis=0) + np.array([0.14, 0.3])
    ax.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]), aspect="equal")
    ax.axis("off")


def draw_curves(ax: Axes) -> None:
    """Draw the function of every order, one over the other, and say how far apart they are."""
    x = np.linspace(-3, 3, 91)
    curves = np.stack([evaluate(NETWORK[order], x) for order in ORDERS])
    for curve in curves:
        ax.plot(x, curve, color=PALETTE[0], lw=2.5)
    apart = np.ptp(curves, axis=0).max()
    assert apart < 1e-14
    ax.set(xlabel="$x$", xticks=[], yticks=[])
    ax.set_title("24 curves,\none over the other", size=15)
    ax.set_ylabel("$f(x)$", rotation=0, labelpad=12)


def main() -> None:
    """Draw the cover for the page, and the picture for links with the title beside the same orbit."""
    assert len(edges()) == 36
    with mpl.rc_context(cast(Any, {**STYLE, "figure.constrained_layout.use": False})):
        cover = Figure(figsize=(8.4, 4.8))
        draw_orbit(cover.add_axes((0.0, 0.0, 0.62, 1.0)))
        draw_network(network := cover.add_axes((0.62, 0.44, 0.38, 0.48)), NETWORK, COLOURS, "", scale=1.4)
        network.set_title("one network", size=15)
        draw_curves(cover.add_axes((0.70, 0.06, 0.26, 0.22)))
        cover.savefig(STATIC / "cover.svg", metadata={"Date": None, "Creator": None})
        social = Figure(figsize=(12, 6.3), dpi=100)
        draw_orbit(social.add_axes((0.36, 0.02, 0.64, 0.96)))
        social.text(0.05, 0.62, "24 networks,\none function", fontsize=40, fontweight="bold", va="center")
        social.text(0.05, 0.33, "The complexity of neural networks\nthrough functional equivalence", fontsize=19)
        social.text(0.05, 0.22, "an executable book", fontsize=19, color="0.35")
        social.savefig(STATIC / "cover.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
