"""Embeddings and recurrent networks."""

import torch
from specimen import House, f, floats, tokens
from torch import nn
from torch.nn import functional

house = House()
SEQUENCE = floats(2, 3, 2)


class Read(nn.Module):
    """A recurrent network and a head on its last step."""

    def __init__(self, network, width):
        super().__init__()
        self.network, self.head = network, nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.network(x)[0][:, -1])


@house.add(f(3), SEQUENCE)
def recurrent():
    return Read(nn.RNN(2, 3, batch_first=True), 3)


@house.add(f(2), SEQUENCE)
def long_short_term_memory():
    return Read(nn.LSTM(2, 2, batch_first=True), 2)


@house.add(f(2) * f(2), SEQUENCE)
def gated_recurrent_unit_deep():
    return Read(nn.GRU(2, 2, num_layers=2, batch_first=True), 2)


@house.add(f(2) * f(2), SEQUENCE)
def long_short_term_memory_bidirectional():
    return Read(nn.LSTM(2, 2, bidirectional=True, batch_first=True), 4)


@house.add(f(3), SEQUENCE)
class RecurrentCellUnrolled(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        state = x.new_zeros(x.shape[0], 3)
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
        return self.head(state)


@house.add(f(3) * f(2), SEQUENCE)
class ElmanWrittenOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.inward, self.loop = nn.Linear(2, 3), nn.Linear(3, 3, bias=False)
        self.head = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))

    def forward(self, x):
        state = torch.tanh(self.inward(x[:, 0]))
        outputs = []
        for step in range(1, x.shape[1]):
            state = torch.tanh(self.inward(x[:, step]) + self.loop(state))
            outputs.append(self.head(state))
        return torch.stack(outputs, dim=1)


@house.add(f(3) * f(2), tokens(5, 6, 4))
class EmbeddingMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))

    def forward(self, ids):
        return self.head(self.embedding(ids).mean(dim=1))


@house.add(f(3), tokens(5, 6, 4))
def embedding_bag():
    return nn.Sequential(nn.EmbeddingBag(5, 3, mode="mean"), nn.Linear(3, 2))


@house.add(f(3) * f(2), tokens(5, 6, 4))
class TiedEmbedding(nn.Module):
    """Word2vec-like: the table of the words is the head's weight."""

    def __init__(self):
        super().__init__()
        self.embedding, self.mix = nn.Embedding(5, 3), nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3))
        self.bias = nn.Parameter(torch.empty(5))

    def forward(self, ids):
        return functional.linear(self.mix(self.embedding(ids).sum(dim=1)), self.embedding.weight, self.bias)


@house.add(f(3), tokens(4, 30), tokens(5, 30))
class MatrixFactorisation(nn.Module):
    """Users and items: factors are units of both tables."""

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(4, 3), nn.Embedding(5, 3)
        self.tastes, self.merits = nn.Embedding(4, 1), nn.Embedding(5, 1)

    def forward(self, user, item):
        affinity = (self.users(user) * self.items(item)).sum(dim=-1)
        return torch.sigmoid(affinity + self.tastes(user).squeeze(-1) + self.merits(item).squeeze(-1))


@house.add(f(3) * f(4), tokens(5, 2, 4))
class TextConvolution(nn.Module):
    """Embeddings, a convolution over time, the maximum over time."""

    def __init__(self):
        super().__init__()
        self.embedding, self.conv, self.head = nn.Embedding(5, 3), nn.Conv1d(3, 4, 2), nn.Linear(4, 2)

    def forward(self, ids):
        x = self.embedding(ids).transpose(1, 2)
        return self.head(functional.relu(self.conv(x)).max(dim=2).values)


@house.add(f(3) * f(2), SEQUENCE)
class GatedScan(nn.Module):
    """A diagonal linear recurrence with a learned decay for every unit: a state space model in little."""

    def __init__(self):
        super().__init__()
        self.inward, self.gate, self.head = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 2)
        self.decay, self.last = nn.Parameter(torch.empty(3)), nn.Linear(2, 1)

    def forward(self, x):
        inward, gate, decay = self.inward(x), functional.silu(self.gate(x)), torch.sigmoid(self.decay)
        state, outputs = torch.zeros_like(inward[:, 0]), []
        for step in range(x.shape[1]):
            state = decay * state + inward[:, step]
            outputs.append(gate[:, step] * state)
        return self.last(functional.relu(self.head(torch.stack(outputs, dim=1))))
