"""Losses of objects that count less, of ignored regions, and of doubtful places, computed by hand.

All class logits are 0, so that the cross entropy of each example is ln 2; one number of each box code is off by 0.1,
which costs 0.5 x 0.1^2 = 0.005.
"""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.models import parity
from tfodhelper import losses as loss_ops
from tfodhelper.fields import Groundtruth, Losses, Predictions
from tfodhelper.models.faster_rcnn import proposal_network, region_head
from tfodhelper.models.ssd import detector as ssd
from tfodhelper.ops import matcher, sampler, target_assigner

LN2, OFF = np.log(2), 0.005
# The quarters of an image of 10 x 10 pixels: an object, a second one, an ignored region, background.
QUARTERS = np.float32([[0, 0, 5, 5], [0, 5, 5, 10], [5, 5, 10, 10], [5, 0, 10, 5]])
IMAGE_SHAPE = tf.constant([1, 10, 10, 3])
CODES = np.float32([[[0.1, 0, 0, 0]] * 4])


def make_groundtruth(weights, location_weights=None):
    groundtruth = {
        Groundtruth.BOXES: tf.constant([np.pad(QUARTERS[:3] / 10, [[0, 1], [0, 0]])]),
        Groundtruth.CLASSES: tf.constant([[0, 0, 0, -1]]),
        Groundtruth.WEIGHTS: tf.constant([[*weights, 0.0]]),
    }
    if location_weights is not None:
        groundtruth[Groundtruth.LOCATION_WEIGHTS] = tf.constant([[*location_weights, 0.0]])
    return groundtruth


def make_assigner():
    return target_assigner.TargetAssigner(matcher.ArgmaxMatcher(0.5, 0.5), num_columns=2)


def ssd_losses(groundtruth):
    loss = ssd.SSDLoss(loss_ops.smooth_l1, loss_ops.softmax)
    parts = types.SimpleNamespace(_assigner=make_assigner(), _loss=loss)
    predictions = {
        Predictions.ANCHORS: tf.constant(QUARTERS / 10),
        Predictions.BOX_CODES: tf.constant(CODES),
        Predictions.CLASS_LOGITS: tf.zeros([1, 4, 2]),
    }
    return ssd.SSDDetector.losses(parts, predictions, groundtruth)


def first_stage_losses(groundtruth, is_static=False):
    drawing = sampler.BalancedSampler(4, 0.5, is_static)
    settings = proposal_network.FirstStage(None, make_assigner(), drawing, drawing, None)
    layers = proposal_network.ProposalLayers(tf.Module(), None, tf.Module(), tf.Module())
    predictions = {
        Predictions.ANCHORS: tf.constant(QUARTERS),
        Predictions.IMAGE_SHAPE: IMAGE_SHAPE,
        Predictions.RPN_BOX_CODES: tf.constant(CODES),
        Predictions.RPN_LOGITS: tf.zeros([1, 4, 2]),
    }
    network = proposal_network.ProposalNetwork(layers, settings)
    return network.losses_of(predictions, groundtruth, True, parity.lowest_first)


def make_region_head():
    drawing = sampler.BalancedSampler(4, 0.5)
    settings = region_head.SecondStage(make_assigner(), drawing, None, tf.nn.softmax, loss_ops.softmax)
    return region_head.RegionHead(1, region_head.RegionLayers(tf.Module(), tf.Module()), settings)


def second_stage_losses(groundtruth):
    predictions = {
        Predictions.PROPOSALS_PX: tf.constant([QUARTERS]),
        Predictions.NUM_PROPOSALS: tf.constant([4]),
        Predictions.IMAGE_SHAPE: IMAGE_SHAPE,
        Predictions.REFINED_BOX_CODES: tf.constant(CODES.reshape(4, 1, 4)),
        Predictions.CLASS_LOGITS: tf.zeros([4, 2]),
    }
    return make_region_head().losses_of(predictions, groundtruth)


def check(losses, names, location, classification):
    np.testing.assert_allclose(losses[names[0]], location, rtol=1e-5)
    np.testing.assert_allclose(losses[names[1]], classification, rtol=1e-5)


ONE_STAGE = (Losses.LOCALIZATION, Losses.CLASSIFICATION)
FIRST = (Losses.RPN_LOCALIZATION, Losses.RPN_OBJECTNESS)
SECOND = (Losses.BOX_LOCALIZATION, Losses.BOX_CLASSIFICATION)


def test_one_stage_divides_by_the_weight_of_the_matches():
    losses = ssd_losses(make_groundtruth([0.8, 0.6, 0.0]))
    check(losses, ONE_STAGE, (0.8 + 0.6) * OFF / 1.4, (0.8 + 0.6 + 1) * LN2 / 1.4)  # 1: the background


def test_one_stage_learns_the_class_of_an_object_in_a_doubtful_place():
    losses = ssd_losses(make_groundtruth([0.8, 0.6, 0.0], [0.0, 0.5, 1.0]))
    check(losses, ONE_STAGE, 0.5 * 0.6 * OFF / 1.4, (0.8 + 0.6 + 1) * LN2 / 1.4)


def test_first_stage_draws_nothing_from_a_region():
    losses = first_stage_losses(make_groundtruth([0.8, 0.6, 0.0]))
    check(losses, FIRST, (0.8 + 0.6) * OFF / 3, (0.8 + 0.6 + 1) * LN2 / 3)


def test_first_stage_learns_no_background_where_a_sample_of_fixed_size_is_filled_up():
    losses = first_stage_losses(make_groundtruth([0.8, 0.6, 0.0]), is_static=True)
    check(losses, FIRST, (0.8 + 0.6) * OFF / 4, (0.8 + 0.6 + 1) * LN2 / 4)


def test_first_stage_learns_nothing_of_a_doubtful_place():
    losses = first_stage_losses(make_groundtruth([0.8, 0.6, 0.0], [0.0, 1.0, 1.0]))
    check(losses, FIRST, 0.6 * OFF / 3, (0.8 + 0.6 + 1) * LN2 / 3)


def test_second_stage_learns_nothing_in_a_region():
    losses = second_stage_losses(make_groundtruth([0.8, 0.6, 0.0]))
    check(losses, SECOND, (0.8 + 0.6) * OFF / 4, (0.8 + 0.6 + 1) * LN2 / 4)


def test_second_stage_learns_the_class_of_an_object_in_a_doubtful_place():
    losses = second_stage_losses(make_groundtruth([0.8, 0.6, 0.0], [0.0, 1.0, 1.0]))
    check(losses, SECOND, 0.6 * OFF / 4, (0.8 + 0.6 + 1) * LN2 / 4)


def test_second_stage_draws_no_proposal_from_a_region():
    proposals, count = make_region_head().draw(
        tf.constant([QUARTERS]), tf.constant([4]), make_groundtruth([0.8, 0.6, 0.0]), IMAGE_SHAPE, parity.lowest_first
    )
    assert count.numpy().tolist() == [3]
    np.testing.assert_array_equal(proposals[0, :3], QUARTERS[[0, 1, 3]])


@pytest.mark.parametrize("losses_of", [ssd_losses, first_stage_losses, second_stage_losses])
def test_without_location_weights_all_are_one(losses_of):
    plain, ones = (losses_of(make_groundtruth([0.8, 0.6, 0.0], more)) for more in (None, [1.0, 1.0, 1.0]))
    for name in plain:
        np.testing.assert_array_equal(plain[name], ones[name])
