"""Rotary positions in a graph: values whose pairs of dimensions may be turned, beside being flipped and rescaled.

Notation. A pair (a, b) is read as the number a + ib. Rotary positions multiply it by one that does not depend on the
weights, (c + is)(a + ib) = (ac - bs) + i(bc + as), and that commutes with any other multiplication: with a scale, a
sign, and a turn of the pair, in queries and keys alike. Two ways of writing it are known: with the halves a and b of
the dimensions, and as x c + cat(-b, a) s, where c and s repeat themselves in both halves.

Source: Su et al. (2024), "RoFormer". Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch.fx import Node

from .rules import operator_name

_THROUGH = frozenset(["cos", "sin", "unsqueeze", "expand", "to", "_to_copy", "view", "reshape", "mul", "contiguous",
                      "clone", "squeeze", "slice", "transpose", "detach", "alias"])  # fmt: skip


def turned(nodes: Iterable[Node]) -> set[Node]:
    """Return the nodes whose values are turned pair by pair."""
    found: set[Node] = set()
    for node in nodes:
        found |= set(_halves(node)) | set(_whole(node))
    return found


def _halves(node: Node) -> Iterator[Node]:
    """Yield a and b of a node a c - b s, if b c + a s is there and nothing else reads them."""
    if operator_name(node) != "sub" or not all(_is(each, "mul") for each in node.args[:2]):
        return
    (a, c), (b, s) = (each.args[:2] for each in node.args[:2])  # type: ignore[union-attr]
    if not all(isinstance(each, Node) for each in (a, b, c, s)):
        return
    wanted = [{b, c}, {a, s}]
    for user in {user for product in b.users for user in product.users}:  # type: ignore[union-attr]
        products = [set(each.args[:2]) for each in user.args[:2] if _is(each, "mul")]  # type: ignore[union-attr]
        if operator_name(user) == "add" and products in (wanted, wanted[::-1]):
            if len(a.users) == len(b.users) == 2:  # type: ignore[union-attr]
                yield from (a, b)  # type: ignore[misc]
            return


def _whole(node: Node) -> Iterator[Node]:
    """Yield x of a node x c + cat(-x_2, x_1) s, where c and s have equal halves and nothing else reads x."""
    if operator_name(node) != "add" or not all(_is(each, "mul") for each in node.args[:2]):
        return
    for one, two in (node.args[:2], node.args[1::-1]):
        (x, c), (rotated, s) = one.args[:2], two.args[:2]  # type: ignore[union-attr]
        if _is(rotated, "cat") and isinstance(x, Node) and isinstance(c, Node) and isinstance(s, Node):
            parts = rotated.args[0]  # type: ignore[union-attr]
            back, front = parts if isinstance(parts, (tuple, list)) and len(parts) == 2 else (None, None)
            cut = _is(back, "neg") and _is(back.args[0], "slice", x) and _is(front, "slice", x)  # type: ignore[union-attr]
            if cut and len(x.users) == 3 and _doubled(c) and _doubled(s):
                yield x


def _doubled(node: Node) -> bool:
    """Whether a table is made of one that is put beside itself."""
    while operator_name(node) in _THROUGH:
        tables = [each for each in node.args if isinstance(each, Node)]
        if len(tables) != 1:
            return False
        node = tables[0]
    parts = node.args[0] if operator_name(node) == "cat" else ()
    return isinstance(parts, (tuple, list)) and len(parts) == 2 and parts[0] is parts[1]


def _is(node: object, name: str, of: Node | None = None) -> bool:
    """Whether a node is this operator, of this operand."""
    return isinstance(node, Node) and operator_name(node) == name and (of is None or node.args[0] is of)
