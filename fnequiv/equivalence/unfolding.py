"""Cut a parameter set into the pieces that blocks act on, and put it together again.

Notation. A specification may name *cells* (:class:`~fnequiv.symmetry.cells.Cell`): boxes of tensors with axes of their
own. :func:`unfold` lays each out as a tensor by itself, :func:`fold` puts them back. A diagonal cell (g, m, n) is
written out as the block-diagonal matrix [g·m, g·n]: a grouped convolution *is* the convolution with that weight, and
Proposition 1 of Shen (2024) holds for it word for word. What a group element may do there is what leaves the zeros
outside the blocks in place: units move within groups, and groups as wholes. Chapter: "Convolutional networks".
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..symmetry import Cell, SymmetrySpec

Params = Mapping[str, torch.Tensor]


def unfold(params: Params, spec: SymmetrySpec) -> dict[str, torch.Tensor]:
    """Return the pieces of a parameter set: cells by their names, and tensors that are not cut as they are.

    Pieces are views of the tensors wherever PyTorch can give one; diagonal ones are new. The shapes are
    ``spec.pieces``. The parameters must be those of the specification, which is not checked here.

    Examples
    --------
    >>> from fnequiv.symmetry import SymmetrySpec
    >>> spec = SymmetrySpec((), {"w": (2, 1)}, cells=(Cell("w", shape=(2, 1, 1), diagonal=True),))
    >>> unfold({"w": torch.tensor([[3.0], [4.0]])}, spec)["w as 2x1x1 diagonal"]
    tensor([[3., 0.],
            [0., 4.]])
    """
    cut = _cells_of(spec)
    pieces = {}
    for name in spec.shapes:
        if name not in cut:
            pieces[name] = params[name]
        for cell in cut.get(name, ()):
            pieces[cell.name] = _written_out(_compact(params[name], cell), cell)
    return pieces


def fold(pieces: Params, spec: SymmetrySpec, out: Mapping[str, torch.Tensor]) -> None:
    """Write pieces to the tensors of ``out`` that are cut; what lies outside the blocks of a diagonal one is dropped.

    Examples
    --------
    >>> from fnequiv.symmetry import SymmetrySpec
    >>> spec = SymmetrySpec((), {"w": (2, 3)}, cells=(Cell("w", order=(1, 0)),))
    >>> out = {"w": torch.zeros(2, 3)}
    >>> fold({"w in order 1,0": torch.tensor([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])}, spec, out)
    >>> out["w"].tolist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """
    for name, cells in _cells_of(spec).items():
        for cell in cells:
            piece = pieces[cell.name]
            if cell.diagonal:
                blocks, rows, columns, *rest = cell.compact(spec.shapes[name])
                units = torch.arange(blocks, device=piece.device)
                piece = piece.reshape(blocks, rows, blocks, columns, *rest)[units, :, units]
            if cell.order is not None:
                piece = piece.permute([cell.order.index(axis) for axis in range(len(cell.order))])
            target = _boxed(out[name], cell)
            target.copy_(piece.reshape(target.shape))


def _cells_of(spec: SymmetrySpec) -> dict[str, list[Cell]]:
    cells: dict[str, list[Cell]] = {}
    for cell in spec.cells:
        cells.setdefault(cell.tensor, []).append(cell)
    return cells


def _boxed(tensor: torch.Tensor, cell: Cell) -> torch.Tensor:
    """Return a view of the entries of the box, for reading and writing."""
    if cell.view is not None:
        tensor = tensor.view(cell.view)
    return tensor[tuple(slice(start, stop) for start, stop in cell.bounds(tuple(tensor.shape)))]


def _compact(tensor: torch.Tensor, cell: Cell) -> torch.Tensor:
    piece = _boxed(tensor, cell)
    if cell.shape is not None:
        piece = piece.reshape(cell.shape)
    return piece if cell.order is None else piece.permute(cell.order)


def _written_out(piece: torch.Tensor, cell: Cell) -> torch.Tensor:
    if not cell.diagonal:
        return piece
    blocks, rows, columns, *rest = piece.shape
    dense = piece.new_zeros((blocks, rows, blocks, columns, *rest))
    units = torch.arange(blocks, device=piece.device)
    dense[units, :, units] = piece
    return dense.reshape(blocks * rows, blocks * columns, *rest)
