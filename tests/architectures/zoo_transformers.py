"""Transformers: PyTorch's own layers, and blocks written out."""

import torch
from specimen import House, f, floats, tokens
from torch import nn
from zoo_attention import HEADS, SEQUENCE, Fused, Wrapped

house = House()


@house.add(f(4) * HEADS * f(3), SEQUENCE)
def encoder_layer_post_norm():
    return Wrapped(nn.TransformerEncoderLayer(4, 2, 3, batch_first=True), 4)


@house.add(f(4) * HEADS * f(3), floats(3, 2, 2))
def encoder_layer_pre_norm():
    """Sequence first, GELU, without biases."""
    return Wrapped(nn.TransformerEncoderLayer(4, 2, 3, norm_first=True, activation="gelu", bias=False), 4)


@house.add(f(3) * f(3) ** 2 * f(2) ** 2, SEQUENCE)
def encoder_of_two_layers():
    layer = nn.TransformerEncoderLayer(3, 3, 2, batch_first=True, norm_first=True)
    return Wrapped(nn.TransformerEncoder(layer, 2, nn.LayerNorm(3), enable_nested_tensor=False), 3)


@house.add(f(3) ** 4 * f(2), SEQUENCE, floats(2, 2, 3))
class DecoderLayer(nn.Module):
    """Attention to itself, to another sequence, and an MLP."""

    def __init__(self):
        super().__init__()
        self.stem, self.memory, self.head = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.layer = nn.TransformerDecoderLayer(3, 3, 2, batch_first=True)

    def forward(self, x, y):
        return self.head(self.layer(self.stem(x), torch.tanh(self.memory(y))))


@house.add(f(4) * HEADS * f(3), SEQUENCE)
class ParallelAttention(nn.Module):
    """Attention and MLP read the same normalised stream and are added, as in GPT-J."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.head = nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2)
        self.attention, self.mlp = Fused(4, 2), nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 4))

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(x)
        return self.head(x + self.attention(y) + self.mlp(y))


@house.add(f(4) * HEADS * f(3), tokens(5, 2, 4))
class LanguageModel(nn.Module):
    """Learned positions, one causal block, and a head tied to the embedding, as in GPT-2."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(5, 4), nn.Embedding(6, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(4) for _ in range(3))
        self.attention = Fused(4, 2)
        self.mlp = nn.Sequential(nn.Linear(4, 3), nn.GELU(approximate="tanh"), nn.Linear(3, 4))
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x))


@house.add(f(4) * HEADS * f(3), floats(2, 1, 4, 4))
class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.head = nn.Conv2d(1, 4, 2, stride=2), nn.Linear(4, 2)
        self.token, self.positions = nn.Parameter(torch.empty(1, 1, 4)), nn.Parameter(torch.empty(1, 5, 4))
        self.layer = nn.TransformerEncoderLayer(4, 2, 3, batch_first=True, norm_first=True)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.layer(x)[:, 0])
