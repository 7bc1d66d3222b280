"""The cover says what is true: 24 orders of one network, one function, and the polytope that the orders span."""

import importlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cover(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book/_figures")
    yield importlib.import_module("cover")
    for name in ("cover", "twins"):
        sys.modules.pop(name, None)


def test_the_corners_are_orders_of_one_function(cover):
    x = np.linspace(-4, 4, 57)
    w, b, v = cover.NETWORK.T
    values = [sum(v[i] * np.tanh(w[i] * t + b[i]) for i in range(4)) for t in x]
    assert len({tuple(order) for order in cover.ORDERS}) == 24
    for order in cover.ORDERS:
        np.testing.assert_allclose(cover.evaluate(cover.NETWORK[order], x), values, rtol=0, atol=1e-14)


def test_the_edges_are_the_exchanges_and_the_edges_of_the_polytope(cover):
    points = cover.corners()
    biases = np.array([cover.NETWORK[order, 1] for order in cover.ORDERS])
    np.testing.assert_allclose(  # the three coordinates keep every distance
        np.linalg.norm(points[:, None] - points, axis=-1), np.linalg.norm(biases[:, None] - biases, axis=-1), atol=1e-12
    )
    polygons = cover.faces(points)
    assert sorted(map(len, polygons)) == [4] * 6 + [6] * 8
    sides = {
        frozenset(pair) for face in polygons for pair in zip(face.tolist(), np.roll(face, 1).tolist(), strict=True)
    }
    assert {frozenset(edge[:2]) for edge in cover.edges()} == sides
    assert len(sides) == 36
    for i, j, pair in cover.edges():
        moved = cover.ORDERS[i] != cover.ORDERS[j]
        assert sorted(cover.ORDERS[i][moved]) == sorted(cover.ORDERS[j][moved]) == [pair, pair + 1]


def test_no_card_covers_another(cover):
    seen = cover.turned(cover.corners(), cover.AZIMUTH, cover.ELEVATION)
    apart = np.abs(seen[:, None, :2] - seen[None, :, :2])[~np.eye(24, dtype=bool)]
    assert np.all((apart[:, 0] > 0.16) | (apart[:, 1] > 0.5))


def test_the_picture_of_a_shared_link_has_the_usual_size():
    header = (ROOT / "book/_static/cover.png").read_bytes()[:24]
    assert struct.unpack(">2I", header[16:]) == (1200, 630)
