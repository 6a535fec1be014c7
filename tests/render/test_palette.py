"""Colours that people with and without colour blindness can tell apart."""

import itertools

import numpy as np
import pytest

from tfodhelper.render import palette

# How the colours of light (linear RGB) appear without one kind of cones: Machado, Oliveira and Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
# Oklab: Ottosson, "A perceptual color space for image processing" (2020).
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def oklab(color, eyes):
    value = np.array(palette.to_rgb(color)) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(np.clip(linear @ np.transpose(EYES[eyes]), 0, 1) @ np.transpose(TO_CONES)) @ np.transpose(TO_OKLAB)


def least_distance(colors, eyes):
    return min(np.linalg.norm(oklab(a, eyes) - oklab(b, eyes)) for a, b in itertools.combinations(colors, 2))


@pytest.mark.parametrize("eyes", EYES)
def test_colors_can_be_told_apart(eyes):
    assert least_distance(palette.CLASS_COLORS[:8], eyes) > 0.07
    assert least_distance(palette.CLASS_COLORS, eyes) > 0.055
    assert least_distance(palette.SERIES, eyes) > 0.07
    assert least_distance((palette.GREEN, palette.VERMILION, palette.YELLOW), eyes) > 0.1
    assert least_distance((palette.GOOD, palette.BAD, palette.DOUBTFUL), eyes) > 0.15


def test_the_measure_finds_colors_that_are_confused():
    assert least_distance(("#d62728", "#2ca02c"), "deuteranopia") < 0.07  # the red and green of matplotlib
    assert least_distance(("#d62728", "#2ca02c"), "all cones") > 0.3


@pytest.mark.parametrize("color", palette.CLASS_COLORS)
def test_classes_are_visible_on_photographs_and_on_paper(color):
    assert 0.45 < oklab(color, "all cones")[0] < 0.92


def test_each_class_has_its_own_color_until_they_repeat():
    count = len(palette.CLASS_COLORS)
    assert len({palette.color_of(i) for i in range(1, count + 1)}) == count == 20
    assert palette.color_of(1) == palette.color_of(np.int64(1)) == palette.color_of(count + 1)
    assert [palette.repeat_of(i) for i in (1, count, count + 1, 2 * count, 2 * count + 1)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("color", [*palette.CLASS_COLORS, palette.GOOD, palette.BAD, palette.DOUBTFUL, palette.GREY])
def test_ink_can_be_read_on_every_color(color):
    assert palette.contrast(palette.ink_on(color), color) > 4.3


def test_contrast():
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == palette.contrast("#ffffff", "#777777") == pytest.approx(4.48, 1e-3)
    assert palette.ink_on("#ffffff") == palette.ink_on(palette.YELLOW) == palette.DARK
    assert palette.ink_on("#000000") == palette.ink_on(palette.BLUE) == palette.LIGHT
