"""Single layers, as the hand-written specifications use them: their tensors, and the axes that units lie on.

Notation. A layer y = W x + b writes y on the *rows* of W and on b, and reads x on the *columns* of W; a convolution
does the same with filters. Units that are written by one layer and read by the next lie on the rows of the one
(``"in"``) and on the columns of the other (``"out"``): Proposition 1 of Shen (2024). Chapter: "Convolutional networks".

**BatchNorm, in evaluation mode**, is y = γ (z - μ)/√(v + ε) + β channel by channel. Let z ↦ D z with D = diag(s_i λ_i):
μ ↦ D μ and γ ↦ γ D⁻¹ leave y as it was, whatever follows. Let y ↦ D' y: γ ↦ D' γ, β ↦ D' β do it, and what follows
has to allow it. So what enters and what leaves have signs and scales of their own, γ holds both, and one permutation
moves all five vectors. v only moves: ε does not scale along. This is a block within a block, in runs of one unit, and γ
is the diagonal of a matrix with two axes.

**A linear junction**: units written by linear layers and read by linear layers, nothing in between but sums. Any
invertible A on them is undone by A⁻¹ on the readers: GL(m) has m² dimensions, of which the m scales are counted as
such. If every reader has a bias, it also takes up a shift of the units: m dimensions more for each bias written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter

import torch

from ..activations import get as get_activation
from ..symmetry import Axis, Block, Cell, SymmetrySpec
from ..validation import check_integer

Axes = tuple[Axis, ...]
Function = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Layer:
    """The axes of a layer: ``rows`` for what it writes, ``columns`` for what it reads."""

    rows: Axes
    columns: Axes

    def repeated(self, repeat: int) -> Layer:
        """Return the layer behind a flattened feature map: a channel owns ``repeat`` consecutive columns.

        Examples
        --------
        >>> Draft().linear("head", 8, 2).repeated(4).columns
        (Axis(tensor='head.weight', axis=1, role='out', repeat=4),)
        """
        return replace(self, columns=tuple(replace(axis, repeat=repeat) for axis in self.columns))


@dataclass
class Draft:
    """A specification in the making: shapes of tensors, cells, and blocks, outer ones first.

    Examples
    --------
    >>> draft = Draft()
    >>> first, second = draft.linear("0", 2, 3), draft.linear("2", 3, 1)
    >>> draft.blocks.append(Block.behind("hidden", 3, "tanh", first.rows + second.columns))
    >>> draft.spec().order()
    48
    """

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    inner: list[Block] = field(default_factory=list)

    def linear(self, name: str, fan_in: int, fan_out: int, *, bias: bool = True) -> Layer:
        """Add ``name.weight`` [fan_out, fan_in] and, with a bias, ``name.bias`` [fan_out]."""
        return self._affine(name, (fan_out, fan_in), bias)

    def convolution(self, name: str, c_in: int, c_out: int, kernel: int, *, bias: bool = False) -> Layer:
        """Add ``name.weight`` [c_out, c_in, k, k] and, with a bias, ``name.bias`` [c_out]."""
        return self._affine(name, (c_out, c_in, kernel, kernel), bias)

    def grouped_convolution(
        self, name: str, c_in: int, c_out: int, kernel: int, groups: int, *, bias: bool = False
    ) -> Layer:
        """Add ``name.weight`` [c_out, c_in / g, k, k]: as a matrix of filters, g blocks on a diagonal.

        A depthwise convolution has g = c_in: each channel is a group.
        """
        shape = (c_out, c_in // groups, kernel, kernel)
        layer = self._affine(name, shape, bias)
        cell = Cell(f"{name}.weight", shape=(groups, c_out // groups, *shape[1:]), diagonal=True)
        self.cells.append(cell)
        return Layer((Axis(cell.name, 0, "in"), *layer.rows[1:]), (Axis(cell.name, 1, "out"),))

    def _affine(self, name: str, shape: tuple[int, ...], bias: bool) -> Layer:
        rows: Axes = (Axis(f"{name}.weight", 0, "in"),)
        self.shapes[f"{name}.weight"] = shape
        if bias:
            self.shapes[f"{name}.bias"] = shape[:1]
            rows += (Axis(f"{name}.bias", 0, "in"),)
        return Layer(rows, (Axis(f"{name}.weight", 1, "out"),))

    def batch_norm(self, name: str, channels: int, written: Axes, within: str) -> Axes:
        """Add a BatchNorm of what is ``written``, and its block before; return what it writes to block ``within``."""
        weight, bias, mean, var = (f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))
        self.shapes |= dict.fromkeys((weight, bias, mean, var), (channels,))
        self.shapes[f"{name}.num_batches_tracked"] = ()
        gamma = Cell(weight, shape=(channels, 1, 1), diagonal=True)
        self.cells.append(gamma)
        before = (*written, Axis(mean, 0, "in"), Axis(var, 0, "carry"), Axis(gamma.name, 1, "out"))
        self.inner.append(Block(f"before {name}", channels, "signed_scaled", before, within=within, groups=channels))
        return Axis(gamma.name, 0, "in"), Axis(bias, 0, "in")

    def layer_norm(self, name: str, width: int, *, bias: bool = True) -> Axes:
        """Add a LayerNorm, or with ``bias=False`` an RMSNorm; return the places of what it writes."""
        vectors = [f"{name}.weight"] + [f"{name}.bias"] * bias
        self.shapes |= dict.fromkeys(vectors, (width,))
        return tuple(Axis(vector, 0, "in") for vector in vectors)

    def spec(self) -> SymmetrySpec:
        """Return the specification."""
        return SymmetrySpec((*self.blocks, *self.inner), self.shapes, tuple(self.cells))


def junction(units: int, *, groups: int = 1, shifts: int = 0) -> int:
    """Return the ``mixing`` of a linear junction: groups · (m² - m + shifts · m), m = units / groups.

    Parameters
    ----------
    units, groups
        Number of units, in that many runs of m consecutive ones.
    shifts
        Number of biases written to the units whose change the readers' biases take up.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer; if it is too small, or ``units`` no multiple of ``groups``.

    Examples
    --------
    >>> junction(6, groups=2), junction(3, shifts=1)
    (12, 9)
    """
    units, groups = check_integer("units", units), check_integer("groups", groups)
    check_multiple("units", units, "groups", groups)
    run = units // groups
    return groups * (run * run - run + check_integer("shifts", shifts, minimum=0) * run)


def check_multiple(name: str, value: int, divisor_name: str, divisor: int) -> None:
    """Raise unless ``value`` is a multiple of ``divisor``.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> check_multiple("width", 6, "heads", 4)
    Traceback (most recent call last):
    ValueError: width must be a multiple of heads, got 6 and 4: take one that 4 divides
    """
    if value % divisor:
        raise ValueError(
            f"{name} must be a multiple of {divisor_name}, got {value} and {divisor}: take one that {divisor} divides"
        )


def check_sizes(name: str, sizes: Sequence[int], *, least: int = 1) -> tuple[int, ...]:
    """Return a sequence of at least ``least`` integers ≥ 1 as a tuple.

    Raises
    ------
    TypeError, ValueError
        If it is no list or tuple of integers; if it is too short or holds one below 1.

    Examples
    --------
    >>> check_sizes("channels", [1, 8], least=2)
    (1, 8)
    """
    if not isinstance(sizes, (list, tuple)):
        raise TypeError(f"{name} must be a list or a tuple of integers, got {type(sizes).__name__}")
    if len(sizes) < least:
        raise ValueError(f"{name} must hold at least {least} integers, got {len(sizes)}: {tuple(sizes)}")
    return tuple(check_integer(f"{name}[{place}]", size) for place, size in enumerate(sizes))


def function_of(activation: str) -> Function:
    """Return PyTorch's function of a name in :func:`fnequiv.activations.names`.

    Raises
    ------
    TypeError, ValueError
        If it is no name; if it is unknown, ``"prelu"``, whose slopes are parameters, or ``"identity"``, which leaves
        two layers one: any invertible matrix acts between them.

    Examples
    --------
    >>> function_of("relu")(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    facts = get_activation(activation)
    if facts.name in ("prelu", "identity"):
        raise ValueError(f"activation must bend and have no parameters, got {facts.name!r}: take 'leaky_relu', say")
    function: Function = attrgetter(facts.torch)(torch)
    return partial(function, **facts.torch_keywords)
