"""Transformers: ViT, GPT-2, BERT, and a decoder as Llama's.

Sources: Dosovitskiy et al. (2021), Radford et al. (2019), Devlin et al. (2019), Touvron et al. (2023); the sizes of the
last are TinyLlama's (Zhang et al., 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


class Tokens:
    """What the language models' sizes share: their example input is a batch of token numbers."""

    vocabulary: int
    tokens: int

    def inputs(self, batch: int = 2) -> torch.Tensor:
        """Return random sequences."""
        return torch.randint(self.vocabulary, (batch, self.tokens), generator=torch.Generator().manual_seed(0))


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, width))


class Attention(nn.Module):
    """Multi-head self-attention, queries, keys and values from one linear layer."""

    def __init__(self, width: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [batch, tokens, width] to the same shape."""
        batch, tokens, width = x.shape
        q, k, v = (
            part.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class PreNorm(nn.Module):
    """A block whose LayerNorms stand before attention and perceptron."""

    def __init__(self, width: int, heads: int, hidden: int, *, causal: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.mlp = _perceptron(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [batch, tokens, width] to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PostNorm(PreNorm):
    """A block whose LayerNorms stand behind the sums."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [batch, tokens, width] to the same shape."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


@dataclass(frozen=True)
class ViT:
    """Blocks, width, heads, hidden units of the perceptrons, sides of the patches and of the image."""

    depth: int = 12
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    patch: int = 16
    classes: int = 1000
    image: int = 224

    def inputs(self, batch: int = 2) -> torch.Tensor:
        """Return random images."""
        return torch.randn(batch, 3, self.image, self.image, generator=torch.Generator().manual_seed(0))

    def build(self) -> nn.Module:
        """Return the network."""
        return _ViT(self)


class _ViT(nn.Module):
    def __init__(self, config: ViT) -> None:
        super().__init__()
        width = config.width
        self.patches = nn.Conv2d(3, width, config.patch, config.patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + (config.image // config.patch) ** 2, width))
        self.blocks = nn.Sequential(*(PreNorm(width, config.heads, config.hidden) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


@dataclass(frozen=True)
class GPT2(Tokens):
    """Blocks, width, heads, sizes of the vocabulary and of the context; ``tokens`` of the example input."""

    depth: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50257
    positions: int = 1024
    tokens: int = 16

    @property
    def hidden(self) -> int:
        """Hidden units of the perceptrons."""
        return 4 * self.width

    def build(self) -> nn.Module:
        """Return the network: the head's weight is the embedding's."""
        return _GPT2(self)


class _GPT2(nn.Module):
    def __init__(self, config: GPT2) -> None:
        super().__init__()
        width = config.width
        self.tokens, self.positions = nn.Embedding(config.vocabulary, width), nn.Embedding(config.positions, width)
        self.blocks = nn.Sequential(
            *(PreNorm(width, config.heads, config.hidden, causal=True) for _ in range(config.depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


@dataclass(frozen=True)
class BERT(Tokens):
    """Blocks, width, heads, hidden units, sizes of the vocabulary and of the context; ``tokens`` of the example."""

    depth: int = 12
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    vocabulary: int = 30522
    positions: int = 512
    tokens: int = 16

    def build(self) -> nn.Module:
        """Return the network; its output is what the pooler makes of the first token."""
        return _BERT(self)


class _BERT(nn.Module):
    def __init__(self, config: BERT) -> None:
        super().__init__()
        width = config.width
        self.tokens, self.positions = nn.Embedding(config.vocabulary, width), nn.Embedding(config.positions, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(PostNorm(width, config.heads, config.hidden) for _ in range(config.depth)))
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(places) + self.segments(torch.zeros_like(tokens))
        return torch.tanh(self.pooler(self.blocks(self.norm(x))[:, 0]))


@dataclass(frozen=True)
class Llama(Tokens):
    """Blocks, width, heads, heads of keys and values, hidden units, vocabulary; ``tokens`` of the example input."""

    depth: int = 22
    width: int = 2048
    heads: int = 32
    kv_heads: int = 4
    hidden: int = 5632
    vocabulary: int = 32000
    tokens: int = 16

    def build(self) -> nn.Module:
        """Return the network."""
        return _Llama(self)


def _rotated(x: torch.Tensor) -> torch.Tensor:
    """Turn dimension i and i + d/2 of a head by an angle that grows with the token's place."""
    half = x.shape[-1] // 2
    places = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)
    rates = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = torch.outer(places, rates)
    cosine, sine = angles.cos(), angles.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class _LlamaBlock(nn.Module):
    def __init__(self, config: Llama) -> None:
        super().__init__()
        width, keys = config.width, config.width // config.heads * config.kv_heads
        self.head = config.width // config.heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.q, self.out = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(width, keys, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, config.hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(config.hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm1(x)
        q, k, v = (layer(h).unflatten(-1, (-1, self.head)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = nn.functional.scaled_dot_product_attention(_rotated(q), _rotated(k), v, is_causal=True, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        h = self.norm2(x)
        return x + self.down(nn.functional.silu(self.gate(h)) * self.up(h))


class _Llama(nn.Module):
    def __init__(self, config: Llama) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.Sequential(*(_LlamaBlock(config) for _ in range(config.depth)))
        self.norm = nn.RMSNorm(config.width, eps=1e-5)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.tokens(tokens))))
