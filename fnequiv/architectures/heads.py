"""Heads of attention in a specification: their sizes, and how they lie in the tensors of each layout.

Notation. h heads in g groups, r = h/g each (r = 1 unless queries are grouped); rows of the query projection are indexed
by (group, head, dimension), those of keys and values by (group, dimension), columns of the output projection as queries
are. With r > 1 and g > 1 the queries are read as a block-diagonal matrix, rows (group, head), columns (group,
dimension). Why all this is a symmetry is proved in :mod:`fnequiv.architectures.attention`. Chapter: "Attention".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..symmetry import Axis, Block, Cell
from ..symmetry.blocks import Role
from ..validation import check_bool, check_integer
from .layers import Axes, Draft, Layer, check_multiple, junction


@dataclass(frozen=True)
class Heads:
    """The sizes of an attention layer, checked: C, h, g, d_k, d_v, biases, and whether positions are rotary.

    Examples
    --------
    >>> Heads.of(6, 2)
    Heads(width=6, heads=2, groups=2, keys=3, values=3, bias=True, out_bias=True, rotary=False)
    """

    width: int
    heads: int
    groups: int
    keys: int
    values: int
    bias: bool
    out_bias: bool
    rotary: bool

    @classmethod
    def of(
        cls,
        width: int,
        heads: int,
        *,
        groups: int | None = None,
        keys: int | None = None,
        values: int | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        rotary: bool = False,
    ) -> Heads:
        """Fill in what is left out, and check it; see :class:`Attention`."""
        width, heads = check_integer("width", width), check_integer("heads", heads)
        groups = heads if groups is None else check_integer("groups", groups)
        check_multiple("heads", heads, "groups", groups)
        if keys is None:
            check_multiple("width", width, "heads", heads)
            keys = width // heads
        values = keys if values is None else values
        keys, values = check_integer("keys", keys), check_integer("values", values)
        check_bool("bias", bias), check_bool("rotary", rotary)
        out_bias = bias if out_bias is None else check_bool("out_bias", out_bias)
        if rotary:
            check_multiple("keys", keys, "two, for rotary positions turn pairs", 2)
        return cls(width, heads, groups, keys, values, bias, out_bias, rotary)


def packed(draft: Draft, prefix: str, sizes: Heads) -> Layer:
    """Add PyTorch's multi-head attention: rows of ``in_proj_weight`` make queries, keys and values, a third each."""
    width, parts = sizes.width, []
    draft.shapes[f"{prefix}in_proj_weight"] = (3 * width, width)
    if sizes.bias:
        draft.shapes[f"{prefix}in_proj_bias"] = (3 * width,)
    for third in ((part * width, (part + 1) * width) for part in range(3)):
        cells = [Cell(f"{prefix}in_proj_weight", box=(third, (0, width)))]
        if sizes.bias:
            cells.append(Cell(f"{prefix}in_proj_bias", box=(third,)))
        draft.cells += cells
        parts.append(Layer(tuple(Axis(cell.name, 0, "in") for cell in cells), (Axis(cells[0].name, 1, "out"),)))
    q, k, v = parts
    out = draft.linear(f"{prefix}out_proj", width, width, bias=sizes.bias)
    within = _parents(draft, prefix, sizes, ())
    _keys(draft, within, sizes, q.rows + _as("out", k.rows))
    _values(draft, within, sizes, v.rows + out.columns)
    return Layer(out.rows, q.columns + k.columns + v.columns)


def separate(draft: Draft, prefix: str, sizes: Heads) -> Layer:
    """Add attention with projections ``q_proj``, ``k_proj``, ``v_proj`` and ``o_proj``."""
    groups, each = sizes.groups, sizes.heads // sizes.groups
    q = _projection(draft, f"{prefix}q_proj", sizes, each, "in")
    k = _projection(draft, f"{prefix}k_proj", sizes, 1, "out")
    v = draft.linear(f"{prefix}v_proj", sizes.width, groups * sizes.values, bias=sizes.bias)
    o = draft.linear(f"{prefix}o_proj", sizes.heads * sizes.values, sizes.width, bias=sizes.out_bias)
    heads = q.heads
    if each > 1:
        name, (behind, own, units) = _output(draft, f"{prefix}o_proj.weight", sizes, each)
        heads += (Axis(name, own, "carry"),)
        o = Layer((Axis(name, behind, "in"), *o.rows[1:]), (Axis(name, units, "out"),))
    within = _parents(draft, prefix, sizes, heads)
    if sizes.rotary:
        _pairs(draft, within, sizes, [one + two for one, two in zip(q.units, k.units, strict=True)])
    else:
        _keys(draft, within, sizes, q.units[0] + k.units[0])
    _values(draft, within, sizes, v.rows + o.columns)
    return Layer(o.rows, q.columns + k.columns + v.columns)


@dataclass(frozen=True)
class _Projection:
    """The places of queries or keys: of heads in groups, of units (pair by pair if rotary), and of what is read."""

    heads: Axes
    units: list[Axes]
    columns: Axes


def _projection(draft: Draft, name: str, sizes: Heads, each: int, role: Role) -> _Projection:
    layer = draft.linear(name, sizes.width, sizes.groups * each * sizes.keys, bias=sizes.bias)
    if each == 1 and not sizes.rotary:
        return _Projection((), [_as(role, layer.rows)], layer.columns)
    heads, columns, units = [], [], []
    for pair in range(sizes.keys // 2) if sizes.rotary else (None,):
        cells = [_cut(axis.tensor, draft.shapes[axis.tensor][1:], sizes, each, pair) for axis in layer.rows]
        draft.cells += cells
        own = 1 if each > 1 else 0  # the axis of the units: behind that of the heads, if there is one
        heads += [Axis(cell.name, 0, "carry") for cell in cells] * own
        units.append(tuple(Axis(cell.name, own, role, 1 if pair is None else 2) for cell in cells))
        columns.append(Axis(cells[0].name, own + 1, "out"))
    return _Projection(tuple(heads), units, tuple(columns))


def _cut(tensor: str, rest: tuple[int, ...], sizes: Heads, each: int, pair: int | None) -> Cell:
    """Return the cell of a projection's tensor, whole or one rotary pair of it: units r and r + d_k/2 of all heads."""
    lead = (sizes.groups, each) if sizes.groups > 1 and each > 1 else (sizes.groups * each,)
    diagonal = len(lead) == 2
    if pair is None or sizes.keys == 2:  # the only pair
        shape = (*lead, sizes.keys, *rest) if each > 1 else (sizes.groups * sizes.keys, *rest)
        return Cell(tensor, shape=shape, diagonal=diagonal)
    units = lead if lead != (1,) else ()
    view = (*units, 2, sizes.keys // 2, *rest)
    box = tuple((pair, pair + 1) if axis == len(units) + 1 else (0, size) for axis, size in enumerate(view))
    shape = (*lead, 2, *rest) if each > 1 else (sizes.groups * 2, *rest)
    return Cell(tensor, view=view, box=box, shape=shape, diagonal=diagonal)


def _output(draft: Draft, weight: str, sizes: Heads, each: int) -> tuple[str, tuple[int, int, int]]:
    """Add the cell of the output projection; return its name, and its axes of outputs, of heads and of units.

    Its columns are (group, head, dimension): with more than one group block-diagonal, as the queries.
    """
    if sizes.groups == 1:
        cell, axes = Cell(weight, shape=(sizes.width, each, sizes.values)), (0, 1, 2)
    else:
        shape = (sizes.width, sizes.groups, each, sizes.values)
        cell, axes = Cell(weight, shape=shape, order=(1, 2, 3, 0), diagonal=True), (2, 0, 1)
    draft.cells.append(cell)
    return cell.name, axes


def _parents(draft: Draft, prefix: str, sizes: Heads, heads: Axes) -> str:
    """Add the block of heads, or of groups and the heads within them; return the name of that which owns units."""
    if sizes.heads == sizes.groups:
        draft.blocks.append(Block(f"{prefix}heads", sizes.heads, "permutation", ()))
        return f"{prefix}heads"
    within = f"{prefix}groups"
    draft.blocks.append(Block(within, sizes.groups, "permutation", ()))
    draft.inner.append(Block(f"{prefix}heads", sizes.heads, "permutation", heads, within=within, groups=sizes.groups))
    return within


def _keys(draft: Draft, within: str, sizes: Heads, axes: Axes) -> None:
    """Add the dimensions of queries and keys: GL(d_k), and the shift of a key's bias that softmax ignores."""
    units, groups = sizes.groups * sizes.keys, sizes.groups
    mixing = junction(units, groups=groups, shifts=int(sizes.bias))
    draft.inner.append(Block(f"{within}.qk", units, "signed_scaled", axes, within=within, groups=groups, mixing=mixing))


def _pairs(draft: Draft, within: str, sizes: Heads, pairs: list[Axes]) -> None:
    """Add one block a rotary pair: in each head a sign, a scale, and a turn that counts as mixing."""
    groups = sizes.groups
    for pair, axes in enumerate(pairs):
        name = f"{within}.pair{pair}"
        draft.inner.append(Block(name, groups, "signed_scaled", axes, within=within, groups=groups, mixing=groups))


def _values(draft: Draft, within: str, sizes: Heads, axes: Axes) -> None:
    """Add the dimensions of values: a linear junction, which takes a shift if both its ends have biases."""
    units, groups = sizes.groups * sizes.values, sizes.groups
    mixing = junction(units, groups=groups, shifts=int(sizes.bias and sizes.out_bias))
    draft.inner.append(Block(f"{within}.v", units, "signed_scaled", axes, within=within, groups=groups, mixing=mixing))


def _as(role: Role, axes: Axes) -> Axes:
    return tuple(replace(axis, role=role) for axis in axes)
