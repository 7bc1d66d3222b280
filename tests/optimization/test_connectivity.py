"""Lines between networks: a loop over the points, curves that anybody can integrate, and copies that align."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply
from fnequiv.equivalence.group import sample
from fnequiv.optimization.connectivity import Profile, barrier, before_and_after, line, profile

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
Y = torch.arange(40) % 2


def network(seed, widths=(3, 5, 4, 2), dtype=torch.float64):
    return mlp.init(widths, torch.Generator().manual_seed(seed), dtype=dtype)


def cross_entropy(params):
    return torch.nn.functional.cross_entropy(mlp.forward(params, X, "relu"), Y)


def by_hand(a, b, loss, points):
    """The definition, one point after the other."""
    losses = []
    for step in range(points):
        t = step / (points - 1)
        losses.append(float(loss({name: (1 - t) * a[name] + t * b[name] for name in a})))
    above = [loss - losses[0] * (1 - i / (points - 1)) - losses[-1] * i / (points - 1) for i, loss in enumerate(losses)]
    return losses, max(above)


@pytest.mark.parametrize("points", [2, 3, 24, 25])
@pytest.mark.parametrize("options", [{}, {"chunk": 1}, {"chunk": 7}, {"batched": False}])
def test_all_points_at_once_are_what_a_loop_finds(points, options):
    a, b = network(0), network(1)
    kept = {name: tensor.clone() for name, tensor in a.items()}
    losses, highest = by_hand(a, b, cross_entropy, points)
    found = profile(a, b, cross_entropy, points=points, **options)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-13)
    np.testing.assert_allclose(found.shares, np.arange(points) / (points - 1), rtol=1e-15)
    assert found.barrier == pytest.approx(highest, abs=1e-14)
    assert barrier(a, b, cross_entropy, points=points, **options) == found.barrier
    assert found.excess[0] == found.excess[-1] == 0
    assert all(torch.equal(a[name], kept[name]) for name in a)


def test_a_hill_and_a_valley_have_the_barriers_of_their_formulas():
    a, b = {"w": torch.tensor([-1.0])}, {"w": torch.tensor([3.0])}

    def quartic(params):
        return ((params["w"] ** 2 - 1) ** 2).sum()

    found = profile(a, b, quartic, points=401)
    w = np.linspace(-1, 3, 400_001)
    expected = ((w**2 - 1) ** 2 - 64 * (w + 1) / 4).max()
    assert found.barrier == pytest.approx(expected, abs=1e-4)
    assert barrier(a, b, lambda params: params["w"].square().sum()) == 0  # convex: no barrier
    assert barrier(a, b, lambda params: -params["w"].square().sum(), points=3) == pytest.approx(4)


@given(st.integers(0, 10**6), st.integers(2, 30))
def test_a_barrier_is_never_below_zero_and_needs_no_direction(seed, points):
    rng = np.random.default_rng(seed)
    found = Profile(np.linspace(0, 1, points), rng.normal(size=points))
    assert found.barrier >= 0
    assert Profile(found.shares, found.losses[::-1]).barrier == pytest.approx(found.barrier, abs=1e-12)


def test_the_ends_are_the_networks_and_gradients_flow():
    a, b = network(0, dtype=torch.float32), network(1, dtype=torch.float32)
    leaf = {name: tensor.clone().requires_grad_() for name, tensor in a.items()}
    stacked = line(leaf, b, 5)
    for name in a:
        assert stacked[name].shape == (5, *a[name].shape)
        assert torch.equal(stacked[name][0], a[name])
        assert torch.equal(stacked[name][4], b[name])
        torch.testing.assert_close(stacked[name][1], 0.75 * a[name] + 0.25 * b[name])
    stacked["0.weight"][1].sum().backward()
    assert torch.equal(leaf["0.weight"].grad, torch.full((5, 3), 0.75))


def test_counters_and_masks_are_those_of_the_nearer_end():
    a = {"w": torch.zeros(1), "count": torch.tensor(3), "mask": torch.tensor([True, False])}
    b = {"w": torch.ones(1), "count": torch.tensor(8), "mask": torch.tensor([False, False])}
    stacked = line(a, b, 5)
    assert stacked["count"].tolist() == [3, 3, 3, 8, 8]
    assert stacked["count"].dtype == torch.int64
    assert stacked["mask"].tolist() == [[True, False]] * 3 + [[False, False]] * 2


def test_a_module_with_buffers_is_a_network_too():
    torch_state = torch.random.get_rng_state()
    nets = [
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)).double()
        for _ in range(2)
    ]
    for seed, net in enumerate(nets):
        net.load_state_dict(
            {
                name: torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5
                if tensor.is_floating_point()
                else torch.tensor(seed)
                for name, tensor in net.state_dict().items()
            }
        )
    torch.random.set_rng_state(torch_state)
    module = nets[0].eval()

    def loss(params):
        return torch.nn.functional.cross_entropy(torch.func.functional_call(module, params, (X,)), Y)

    a, b = (net.state_dict() for net in nets)
    losses, highest = by_hand(a, b, loss, 9)
    found = profile(a, b, loss, points=9)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)
    assert found.barrier == pytest.approx(highest, abs=1e-13)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_barrier_to_a_copy_is_gone_after_alignment(activation):
    spec, b = mlp.spec((3, 5, 4, 2), activation), network(3)
    a = apply(b, spec, sample(spec, np.random.default_rng(1), spread=1.0))

    def loss(params):
        return (mlp.forward(params, X, activation) - mlp.forward(b, X, activation)).square().mean()

    before, after = before_and_after(a, b, spec, loss, points=11)
    assert before.barrier > 1e-4
    assert after.barrier < 1e-12
    np.testing.assert_allclose(before.losses, by_hand(a, b, loss, 11)[0], atol=1e-13)


def test_options_reach_align_and_the_moved_network_is_on_its_line():
    spec, a, b = mlp.spec((3, 5, 4, 2), "relu"), network(4), network(5)
    asked = []

    def score(params):
        asked.append(params)
        return cross_entropy(params)

    before, after = before_and_after(
        a, b, spec.only(), cross_entropy, starts=2, generator=np.random.default_rng(0), score=score
    )
    assert len(asked) == 3
    np.testing.assert_allclose(before.losses[[0, -1]], after.losses[[0, -1]], rtol=1e-12)  # a moved computes the same
    assert not np.allclose(before.losses, after.losses)


def test_a_loss_that_cannot_be_batched_may_be_called_point_by_point(refuses):
    a, b = network(0), network(1)

    def branching(params):
        return cross_entropy(params) if params["0.bias"][0].item() < 10 else params["0.bias"].sum()

    refuses(lambda: profile(a, b, branching), ValueError, "pass batched=False; it said: vmap: It looks like")
    noisy = profile(a, b, lambda params: cross_entropy(params) + 0 * torch.rand(()), batched=False)
    refuses(lambda: profile(a, b, lambda params: torch.rand(())), ValueError, "pass batched=False")
    np.testing.assert_allclose(noisy.losses, profile(a, b, cross_entropy).losses)
    with pytest.raises(RuntimeError, match="size"):  # an error of the loss's own is its own
        profile(a, b, lambda params: (params["0.weight"] @ torch.ones(9).double()).sum())
    np.testing.assert_allclose(profile(a, b, branching, batched=False).losses, profile(a, b, cross_entropy).losses)


def test_wrong_input_is_named(refuses):
    a, b = network(0), network(1)
    one = {"w": torch.ones(1)}
    refuses(lambda: line({}, {}, 3), ValueError, "at least one tensor")
    refuses(lambda: line(a, b, 1), ValueError, "points must be >= 2, got 1")
    for many in (10**6 + 1, 2**63, 10**400, 10**5000):
        refuses(lambda many=many: line(one, one, many), ValueError, "points must be at most 1000000, got ")
        refuses(lambda many=many: barrier(one, one, torch.sum, points=many), ValueError, "points must be at most")
    refuses(lambda: line(a, network(1, (3, 5, 2)), 3), ValueError, "4.bias")
    refuses(lambda: line(one, {"w": torch.ones(2)}, 3), ValueError, "'w'")
    refuses(lambda: line(one, {"w": torch.ones(1).double()}, 3), TypeError, "convert one of them first")
    refuses(lambda: line(one, {"w": torch.tensor([math.nan])}, 3), ValueError, "network b: tensor 'w' holds NaN")
    refuses(lambda: line(torch.nn.Linear(1, 1), b, 3), TypeError, "pass its state_dict()")
    refuses(lambda: profile(one, one, 3), TypeError, "loss must be a function")
    refuses(lambda: profile(one, one, lambda params: 3.0), TypeError, "loss must return a tensor with one number")
    for dtype in (torch.complex64, torch.bool, torch.int64):
        for batched in (True, False):
            refuses(
                lambda kind=dtype, batched=batched: profile(one, one, lambda p: p["w"].sum().to(kind), batched=batched),
                TypeError,
                f"loss must return a floating tensor, got {dtype}",
            )
    refuses(lambda: profile(one, one, lambda params: params["w"]), ValueError, "got shape (1,): take its mean")
    refuses(lambda: profile(one, one, torch.sum, batched=1), TypeError, "batched must be True or False")
    refuses(lambda: profile(one, one, lambda params: params["w"].sum(), chunk=0), ValueError, "chunk must be >= 1")
    refuses(lambda: profile(one, one, torch.sum, chunk="a", batched=False), TypeError, "chunk must be an integer")
    minus = {"w": -torch.ones(1)}
    refuses(
        lambda: profile(minus, one, lambda params: params["w"].log().sum()),
        ValueError,
        "loss must be finite on the line",
    )


def test_ends_of_a_line_are_exact_and_finite_however_far_apart():
    for dtype in (torch.float32, torch.float64):
        most = torch.finfo(dtype).max
        a, b = (
            {"w": torch.tensor([most, 0.1, -most], dtype=dtype)},
            {"w": torch.tensor([-most, 0.3, most], dtype=dtype)},
        )
        points = line(a, b, 5)["w"]
        assert torch.isfinite(points).all()
        assert torch.equal(points[0], a["w"])
        assert torch.equal(points[-1], b["w"])
