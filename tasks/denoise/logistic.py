"""Weighted logistic regression by Newton's method, for curves and for the fitted judge. Shapes: N rows, F columns."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOST_STEPS = 100
_SMALLEST_STEP = 1e-6  # a halved step below this is taken as it is
_CONVERGED = 1e-10
_JITTER = 1e-9  # keeps the curvature invertible where classes part completely


def sigmoid(logit_N: Floats) -> Floats:
    """Return probabilities; never overflows."""
    values: Floats = 0.5 * (1.0 + np.tanh(0.5 * logit_N))
    return values


def fit_logistic(design_NF: Floats, target_N: Floats, weight_N: Floats, ridge_F: Floats) -> Floats:
    """Minimise the weighted cross-entropy plus half the ridge times the squared weights.

    Steps are halved until the loss falls, so that it converges from anywhere.

    Args:
        design_NF: a column of ones where there is to be an intercept.
        target_N: 0..1.
        weight_N: of the rows.
        ridge_F: of the columns; 0 for the intercept.

    Returns:
        The weights of the columns, [F].
    """
    theta_F = np.zeros(design_NF.shape[1])

    def loss(at_F: Floats) -> float:
        logit_N = design_NF @ at_F
        cross_entropy_N = np.logaddexp(0.0, logit_N) - target_N * logit_N
        return float((weight_N * cross_entropy_N).sum() + 0.5 * (ridge_F * at_F**2).sum())

    for _ in range(_MOST_STEPS):
        value_N = sigmoid(design_NF @ theta_F)
        gradient_F = design_NF.T @ (weight_N * (value_N - target_N)) + ridge_F * theta_F
        curvature_N = weight_N * value_N * (1.0 - value_N)
        hessian_FF = design_NF.T @ (design_NF * curvature_N[:, None]) + np.diag(ridge_F + _JITTER)
        step_F = np.linalg.solve(hessian_FF, gradient_F)
        size = 1.0
        while size > _SMALLEST_STEP and loss(theta_F - size * step_F) > loss(theta_F):
            size /= 2.0
        theta_F = theta_F - size * step_F
        if float(np.abs(step_F).max()) < _CONVERGED:
            break
    return theta_F
