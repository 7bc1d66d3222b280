"""Attention of every kind."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
SEQUENCE = floats(2, 3, 2)


class Wrapped(nn.Module):
    """A learned stem and head around a body: what leads into it is free, and what leads out of it."""

    def __init__(self, body, width):
        super().__init__()
        self.stem, self.body, self.head = nn.Linear(2, width), body, nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.body(self.stem(x)))


class Skipped(Wrapped):
    """The same with a skip around the body: the two ends are one stream."""

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.body(x))


class SelfAttention(nn.Module):
    """nn.MultiheadAttention of a sequence with itself."""

    def __init__(self, width, heads, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True, **options)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Fused(nn.Module):
    """Causal attention with one projection to queries, keys and values, as GPT-2 has it."""

    def __init__(self, width, heads):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(batch, length, width))


HEADS = f(2) * (f(2) * f(2)) ** 2  # two heads, two units of queries and keys, two of values


@house.add(f(4) ** 2 * HEADS, SEQUENCE)
def multihead_attention():
    return Wrapped(SelfAttention(4, 2), 4)


@house.add(HEADS, floats(2, 3, 4))
def attention_on_the_input():
    return SelfAttention(4, 2, bias=False)


@house.add(f(4) * HEADS, SEQUENCE)
def causal_attention_fused():
    return Skipped(Fused(4, 2), 4)


@house.add(f(4) * f(3) * f(2) * f(4) * HEADS, SEQUENCE, floats(2, 4, 3))
class CrossAttention(nn.Module):
    """Queries from one sequence, keys from a second, values from a third projection of it."""

    def __init__(self):
        super().__init__()
        self.stem, self.keys, self.values = nn.Linear(2, 4), nn.Linear(3, 3), nn.Linear(3, 2)
        self.attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x, y):
        return self.head(
            self.attention(self.stem(x), functional.relu(self.keys(y)), functional.relu(self.values(y)))[0]
        )


class Written(nn.Module):
    """Attention written out with matrix products; keys and values of one width, several query heads a group."""

    def __init__(self, width, groups, queries, keys, values):
        super().__init__()
        self.sizes = groups, queries, keys, values
        self.q = nn.Linear(width, groups * queries * keys, bias=False)
        self.k, self.v = nn.Linear(width, groups * keys, bias=False), nn.Linear(width, groups * values, bias=False)
        self.out = nn.Linear(groups * queries * values, width, bias=False)

    def forward(self, x):
        batch, length, _ = x.shape
        groups, queries, keys, values = self.sizes
        q = self.rotate(self.q(x).view(batch, length, groups * queries, keys).transpose(1, 2))
        k = self.rotate(self.k(x).view(batch, length, groups, keys).transpose(1, 2))
        v = self.v(x).view(batch, length, groups, values).transpose(1, 2)
        k, v = (t.repeat_interleave(queries, dim=1) for t in (k, v))
        scores = q @ k.transpose(-2, -1) / keys**0.5
        y = self.biased(scores).softmax(dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(batch, length, -1))

    def rotate(self, x):
        return x

    def biased(self, scores):
        return scores


@house.add(f(5) ** 2 * f(2) * (f(3) * f(2)) ** 2, SEQUENCE)
def attention_written_out():
    return Wrapped(Written(5, 2, 1, 3, 2), 5)


@house.add(f(5) * f(2) * (f(2) * f(2) * f(3)) ** 2, SEQUENCE)
def grouped_queries():
    """Two groups of two query heads each: groups, heads of a group, units of keys and of values."""
    return Skipped(Written(5, 2, 2, 2, 3), 5)


@house.add(f(5) ** 2 * f(2) * f(3), SEQUENCE)
def multi_query_attention():
    """One head of keys and values for two of queries; one unit of keys."""
    return Wrapped(Written(5, 1, 2, 1, 3), 5)


@house.add(f(4) * f(2) * (f(2) * f(2) * f(2)) ** 2, SEQUENCE)
class GroupedQueriesFused(nn.Module):
    """The same by the fused kernel's own option."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 4), nn.Linear(4, 2)
        self.q, self.kv, self.out = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        q = self.q(x).unflatten(-1, (4, 2)).transpose(1, 2)
        k, v = (t.unflatten(-1, (2, 2)).transpose(1, 2) for t in self.kv(x).chunk(2, dim=-1))
        y = functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.head(x + self.out(y.transpose(1, 2).flatten(2)))


class Rotary(Written):
    """Rotary positions: unit i turns with unit i + d/2, at a frequency of their own."""

    def rotate(self, x):
        half = x.shape[-1] // 2
        frequencies = 0.3 ** torch.arange(half, dtype=x.dtype)
        angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * frequencies
        angles = torch.cat([angles, angles], dim=-1)
        turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        return x * angles.cos() + turned * angles.sin()


@house.add(f(3) * f(2) * f(2) ** 2, SEQUENCE)
def rotary_positions():
    """What turns stays where it is; heads and values do not."""
    return Skipped(Rotary(3, 2, 1, 4, 2), 3)


@house.add(f(3) ** 2 * f(2) * f(2) ** 2 * f(3) ** 2, SEQUENCE)
def rotary_grouped_queries():
    return Wrapped(Rotary(3, 2, 2, 2, 3), 3)


class Relative(Written):
    """A learned bias for every head and pair of positions: heads carry it along."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.bias = nn.Parameter(torch.empty(2, 3, 3))

    def biased(self, scores):
        return scores + self.bias


@house.add(f(3) ** 2 * f(2) * (f(3) * f(2)) ** 2, SEQUENCE)
def relative_bias():
    return Wrapped(Relative(3, 2, 1, 3, 2), 3)


class Linear(Written):
    """Linear attention: positive features of keys and queries in place of a softmax."""

    def forward(self, x):
        batch, length, _ = x.shape
        groups, _, keys, values = self.sizes
        q, k = (functional.elu(layer(x)).add(1).view(batch, length, groups, keys) for layer in (self.q, self.k))
        v = self.v(x).view(batch, length, groups, values)
        y = torch.einsum("blhd,bhde->blhe", q, torch.einsum("blhd,blhe->bhde", k, v))
        y = y / (torch.einsum("blhd,bhd->blh", q, k.sum(dim=1))[..., None] + 1)
        return self.out(y.flatten(2))


@house.add(f(4) * f(2) * (f(3) * f(2)) ** 2, SEQUENCE)
def linear_attention():
    return Skipped(Linear(4, 2, 1, 3, 2), 4)


@house.add(f(2) * f(4) ** 2 * HEADS, SEQUENCE)
class LearnedQueries(nn.Module):
    """Two learned queries read the sequence: they change places, and so do the runs of columns that read them."""

    def __init__(self):
        super().__init__()
        self.stem, self.queries = nn.Linear(2, 4), nn.Parameter(torch.empty(2, 4))
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        x = self.stem(x)
        queries = self.queries.expand(x.shape[0], -1, -1)
        return self.head((queries + self.attention(queries, x, x)[0]).flatten(1))


@house.add(f(3) * f(2), SEQUENCE)
class AttentionPooling(nn.Module):
    """A score for every step; their softmax weighs the steps."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 3), nn.Linear(3, 2)
        self.score = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))

    def forward(self, x):
        x = functional.relu(self.stem(x))
        weights = self.score(x).softmax(dim=1)
        return self.head((weights * x).sum(dim=1))
