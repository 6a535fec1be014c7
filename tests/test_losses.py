"""Losses, computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import losses

CODES = np.float32([[[0.5, -2.0, 0.0, 0.0]]])
ZEROS = np.zeros([1, 1, 4], np.float32)
TWO = np.float32([[2.0]])


def test_localization_losses():
    np.testing.assert_allclose(losses.l1(CODES, ZEROS, TWO), [[5.0]])
    np.testing.assert_allclose(losses.l2(CODES, ZEROS, TWO), [[0.5 * (1.0 + 16.0)]])
    np.testing.assert_allclose(losses.smooth_l1(CODES, ZEROS, TWO), [[2 * (0.125 + 1.5)]])
    np.testing.assert_allclose(losses.smooth_l1(CODES, ZEROS, TWO, delta=0.25), [[2 * 0.25 * (0.375 + 1.875)]])


def test_sigmoid():
    logits, targets = np.float32([[[0.0, 2.0]]]), np.float32([[[1.0, 0.0]]])
    wanted = 2 * (np.log(2) + np.log1p(np.exp(2)))
    np.testing.assert_allclose(losses.sigmoid(logits, targets, TWO), [[wanted]], rtol=1e-6)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (2.0, None), (0.0, 0.75), (1.5, 0.5)])
def test_sigmoid_focal(gamma, alpha):
    logits, targets = np.float32([[[-1.0, 3.0]]]), np.float32([[[1.0, 0.0]]])
    wanted = 0.0
    for logit, target in ((-1.0, 1), (3.0, 0)):
        p = 1 / (1 + np.exp(-logit))
        p_t = p if target else 1 - p
        balance = 1 if alpha is None else alpha if target else 1 - alpha
        wanted += balance * (1 - p_t) ** gamma * -np.log(p_t)
    ours = losses.sigmoid_focal(logits, targets, TWO, gamma, alpha)
    np.testing.assert_allclose(ours, [[2 * wanted]], rtol=1e-5)


def test_softmax_with_scaled_logits():
    logits, targets = np.float32([[[2.0, 0.0]]]), np.float32([[[0.0, 1.0]]])
    np.testing.assert_allclose(losses.softmax(logits, targets, TWO, 2.0), [[2 * np.log1p(np.e)]], rtol=1e-6)


def test_bootstrapped_sigmoid():
    logits, targets = np.float32([[[1.0]]]), np.float32([[[0.0]]])
    p = 1 / (1 + np.exp(-1.0))
    for hard, own in ((False, p), (True, 1.0)):
        target = 0.2 * own
        wanted = -target * np.log(p) - (1 - target) * np.log(1 - p)
        ours = losses.bootstrapped_sigmoid(logits, targets, np.float32([[1.0]]), alpha=0.8, hard=hard)
        np.testing.assert_allclose(ours, [[wanted]], rtol=1e-5)


@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_extreme_logits_have_finite_losses_and_gradients(logit):
    logits = tf.constant([[[logit, -logit]]])
    for loss in (losses.sigmoid, losses.sigmoid_focal, losses.softmax):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(logits, tf.constant([[[1.0, 0.0]]]), tf.ones([1, 1]))
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(tape.gradient(value, logits)))
