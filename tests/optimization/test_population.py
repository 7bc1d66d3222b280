"""The closed forms against quadrature, simulation, 60 digits and differences; none of these shares code with them."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from fnequiv.optimization.population import function_distance, gradient, hessian, kernel, population_loss

ANGLES = [0.0, 1e-12, 1e-9, 1e-8, 3e-8, 1e-6, 1e-3, 0.5, math.pi / 2, 2.5]
ANGLES += [math.pi - angle for angle in (1e-3, 1e-6, 3e-8, 1e-8, 1e-9)] + [math.pi]


def pair(angle, w_length=1.3, v_length=0.7, d=4):
    """Two vectors at an angle in a plane that no axis lies in."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, 2)))[0].T
    return w_length * basis[0], v_length * (math.cos(angle) * basis[0] + math.sin(angle) * basis[1])


def exact_kernel(w, v):
    w_length, v_length = (mpmath.sqrt(mpmath.fdot(row, row)) for row in (w, v))
    cosine = mpmath.fdot(w, v) / (w_length * v_length)
    phi = mpmath.acos(min(max(cosine, -1), 1))
    return w_length * v_length * (mpmath.sin(phi) + (mpmath.pi - phi) * mpmath.cos(phi)) / (2 * mpmath.pi)


def exact_loss(student, teacher):
    student, teacher = ([[mpmath.mpf(entry) for entry in row] for row in each] for each in (student, teacher))
    within = sum(exact_kernel(w, v) for each in (student, teacher) for w in each for v in each)
    return within / 2 - sum(exact_kernel(w, v) for w in student for v in teacher)


def moved(student, *places, by):
    rows = [[mpmath.mpf(entry) for entry in row] for row in student]
    for (i, j), sign in places:
        rows[i][j] += sign * by
    return rows


@pytest.mark.parametrize("angle", ANGLES)
def test_the_kernel_is_the_integral_over_directions(angle):
    w, v = pair(angle)
    # In the plane of both, E over the squared radius is 2, and both ReLUs are on for an arc of π - φ.
    arc, _ = quad(lambda t: math.cos(t) * math.cos(t - angle), angle - math.pi / 2, math.pi / 2, epsabs=1e-14)
    expected = np.linalg.norm(w) * np.linalg.norm(v) * arc / math.pi
    assert kernel(w[None], v[None])[0, 0] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_loss_and_gradient_are_what_a_simulation_gives():
    rng = np.random.default_rng(0)
    student, teacher, x = rng.normal(size=(4, 3)), np.eye(3), rng.normal(size=(400_000, 3))
    active = x @ student.T > 0
    error = np.maximum(x @ student.T, 0).sum(axis=1) - np.maximum(x @ teacher.T, 0).sum(axis=1)
    losses = error**2 / 2
    assert abs(losses.mean() - population_loss(student, teacher)) < 4 * losses.std() / math.sqrt(len(x))
    slopes = error[:, None, None] * active[:, :, None] * x[:, None, :]
    gaps = abs(slopes.mean(axis=0) - gradient(student, teacher)) / (slopes.std(axis=0) / math.sqrt(len(x)))
    assert gaps.max() < 4.5
    assert abs(gradient(student, teacher)).max() > 0.1


@pytest.mark.parametrize("angle", ANGLES)
def test_loss_and_gradient_have_fifteen_digits_at_every_angle(angle):
    w, v = pair(angle)
    student, teacher = np.stack([w, -0.4 * v]), v[None]
    with mpmath.workdps(60):
        by = mpmath.mpf(10) ** -25
        assert float(abs(exact_loss(student, teacher) - population_loss(student, teacher).item())) < 2e-15
        slopes = gradient(student, teacher)
        for place in np.ndindex(student.shape):
            ahead, behind = (exact_loss(moved(student, (place, sign), by=by), teacher) for sign in (1, -1))
            assert float(abs((ahead - behind) / (2 * by) - slopes[place])) < 2e-15


@pytest.mark.parametrize("angle", ANGLES)
def test_the_hessian_has_ten_digits_at_every_angle(angle):
    w, v = pair(angle, d=2)
    student, teacher = np.stack([w, -0.4 * v]), v[None]
    found = hessian(student, teacher).reshape(2, 2, 2, 2)
    with mpmath.workdps(80):
        by = mpmath.mpf(10) ** -25
        for first in np.ndindex(2, 2):
            for second in np.ndindex(2, 2):
                corners = [
                    s * t * exact_loss(moved(student, (first, s), (second, t), by=by), teacher)
                    for s in (1, -1)
                    for t in (1, -1)
                ]
                # Where two rows are parallel the third derivative jumps: a step of 10^-25 sees nothing of it.
                assert float(abs(sum(corners) / (4 * by**2) - found[*first, *second])) < 1e-10


def test_the_gradient_is_what_autograd_finds():
    rng = np.random.default_rng(1)
    students, teacher = rng.normal(size=(5, 6, 4)), rng.normal(size=(3, 4))
    leaf, target = torch.tensor(students, requires_grad=True), torch.tensor(teacher)

    def total(w, v):
        product = w @ v.mT
        sizes = w.norm(dim=-1)[..., :, None] * v.norm(dim=-1)[..., None, :]
        cosine = (product / sizes).clamp(-1 + 1e-15, 1 - 1e-15)
        return ((sizes * (1 - cosine**2).sqrt() + (math.pi - cosine.acos()) * product) / (2 * math.pi)).sum((-1, -2))

    (total(leaf, leaf) / 2 - total(leaf, target) + total(target, target) / 2).sum().backward()
    np.testing.assert_allclose(gradient(students, teacher), leaf.grad.numpy(), atol=1e-7)


def test_the_hessian_is_the_difference_of_gradients():
    rng = np.random.default_rng(2)
    students, teacher, by = rng.normal(size=(3, 5, 4)), np.eye(2, 4), 1e-5
    found = hessian(students, teacher)
    assert found.shape == (3, 20, 20)
    for place in range(20):
        step = by * np.eye(20)[place].reshape(5, 4)
        column = (gradient(students + step, teacher) - gradient(students - step, teacher)) / (2 * by)
        np.testing.assert_allclose(found[:, :, place], column.reshape(3, 20), atol=1e-8)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), atol=1e-15)


def test_a_row_of_zeros_computes_zero_and_gets_the_mean_slope():
    rows = np.array([[0.0, 0.0], [1.0, 0.0]])
    teacher = np.array([[0.0, 2.0]])
    np.testing.assert_allclose(kernel(rows, teacher), [[0], [1 / math.pi]], rtol=1e-15)
    assert population_loss(rows, teacher) == population_loss(rows[1:], teacher)
    turns = np.linspace(0, 2 * math.pi, 720, endpoint=False)
    around = np.stack([1e-12 * np.cos(turns), 1e-12 * np.sin(turns)], axis=1)[:, None]
    students = np.concatenate([around, np.tile(rows[1:], (720, 1, 1))], axis=1)
    mean = gradient(students, teacher)[:, 0].mean(axis=0)
    np.testing.assert_allclose(gradient(rows, teacher)[0], mean, atol=1e-6)
    assert gradient(np.zeros((1, 2)), teacher).tolist() == [[0.0, -0.5]]


@given(st.integers(0, 10**6), st.floats(-150, 150))
def test_the_loss_is_homogeneous_of_degree_two_and_rotations_change_nothing(seed, exponent):
    rng = np.random.default_rng(seed)
    student, teacher = rng.normal(size=(3, 3)), np.eye(2, 3)
    loss, size = population_loss(student, teacher), 2.0 ** round(exponent)
    np.testing.assert_allclose(population_loss(size * student, size * teacher), size**2 * loss, rtol=1e-12)
    np.testing.assert_allclose(gradient(size * student, size * teacher), size * gradient(student, teacher), rtol=1e-12)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(population_loss(student @ turn, teacher @ turn), loss, atol=1e-13)
    order = rng.permutation(3)
    np.testing.assert_allclose(gradient(student[order], teacher), gradient(student, teacher)[order], atol=1e-13)


def test_rows_too_short_to_be_squared_still_have_a_direction():
    w, v = pair(1.0)
    assert kernel(1e-200 * w[None], v[None]) == pytest.approx(1e-200 * kernel(w[None], v[None]), rel=1e-13)


def test_students_are_batched_and_distances_are_of_functions():
    rng = np.random.default_rng(3)
    students, teacher = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(5, 2))
    assert population_loss(students, teacher).shape == (2, 3)
    assert gradient(students, teacher)[1, 2] == pytest.approx(gradient(students[1, 2], teacher), abs=1e-15)
    assert population_loss(students, teacher)[1, 2] == population_loss(students[1, 2], teacher)
    assert function_distance(students, teacher) ** 2 / 2 == pytest.approx(population_loss(students, teacher))
    x = rng.normal(size=(1000, 2))
    same = np.stack([students[0, 0, 0] / 3, students[0, 0, 0] * 2 / 3])
    np.testing.assert_allclose(np.maximum(x @ same.T, 0).sum(1), np.maximum(x @ students[0, 0, 0], 0))
    assert function_distance(same, students[0, 0, :1]) < 1e-7


def test_copies_are_at_distance_zero_whatever_rounding_says():
    students = np.random.default_rng(4).normal(size=(300, 6, 3))
    apart = function_distance(students, students[:, [3, 0, 5, 1, 2, 4]])
    assert (apart <= 1e-6).all()
    assert (apart == 0).any()


def test_wrong_input_is_named(refuses):
    refuses(lambda: kernel([1.0], [[1.0]]), ValueError, "w must hold rows, shape [..., n, d] with n, d >= 1")
    refuses(lambda: kernel([[1.0]], np.empty((0, 1))), ValueError, "v must hold rows")
    refuses(lambda: population_loss([[1.0]], [[1.0, 2.0]]), ValueError, "rows of one length d, got 1 and 2")
    refuses(lambda: gradient([[math.nan]], [[1.0]]), ValueError, "student must be finite, got nan")
    refuses(lambda: gradient([["x"]], [[1.0]]), TypeError, "student must be a real number")
    refuses(lambda: hessian([[0.0, 0.0]], np.eye(2)), ValueError, "no row of zeros")
