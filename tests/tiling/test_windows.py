"""The geometry of tiles: examples by hand, and what must be true of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.tiling import options, windows
from tfodhelper.tiling.windows import Tiling

tilings = st.builds(Tiling, side=st.integers(1, 70), overlap=st.floats(0.0, 0.9), with_whole=st.booleans())
lengths = st.integers(1, 200)


@pytest.mark.parametrize(
    ("length", "side", "overlap", "starts"),
    [
        (1000, 640, 0.2, [0, 360]),  # a stride of 512 would end beyond the border
        (1152, 640, 0.2, [0, 512]),  # fits exactly
        (1153, 640, 0.2, [0, 512, 513]),
        (640, 640, 0.2, [0]),
        (639, 640, 0.2, [0]),
        (641, 640, 0.2, [0, 1]),
        (100, 40, 0.0, [0, 40, 60]),
        (120, 40, 0.0, [0, 40, 80]),
        (130, 100, 0.9, [0, 10, 20, 30]),
        (20, 10, 0.55, [0, 4, 8, 10]),  # 4.5 pixels of stride are 4: no less overlap than was requested
    ],
)
def test_where_tiles_begin(length, side, overlap, starts):
    assert Tiling(side, overlap)._starts(length) == starts


def test_windows_are_in_rows_and_the_whole_picture_is_the_last():
    expected = [[0, 0, 10, 10], [0, 8, 10, 18], [0, 10, 10, 20], [2, 0, 12, 10], [2, 8, 12, 18], [2, 10, 12, 20]]
    assert Tiling(10, 0.2, with_whole=False).windows(12, 20).tolist() == expected
    assert Tiling(10, 0.2).windows(12, 20).tolist() == [*expected, [0, 0, 12, 20]]


def test_a_picture_that_fits_into_a_tile_is_one_window():
    assert Tiling(10).windows(10, 7).tolist() == [[0, 0, 10, 7]]
    assert Tiling(10).windows(11, 7).tolist() == [[0, 0, 10, 7], [1, 0, 11, 7], [0, 0, 11, 7]]


@given(tilings, lengths, lengths)
def test_tiles_cover_every_pixel_and_stay_inside(tiling, height, width):
    covered = np.zeros([height, width], bool)
    for ymin, xmin, ymax, xmax in tiling.windows(height, width):
        assert 0 <= ymin < ymax <= height and 0 <= xmin < xmax <= width
        if (ymax - ymin, xmax - xmin) != (height, width):
            covered[ymin:ymax, xmin:xmax] = True
    assert covered.all() or len(tiling.windows(height, width)) == 1


@given(tilings, lengths, lengths)
def test_all_tiles_have_the_same_size_and_none_occurs_twice(tiling, height, width):
    tiles = [tuple(window) for window in tiling.windows(height, width)]
    whole = (0, 0, height, width)
    assert (whole in tiles) == (tiling.with_whole or len(tiles) == 1)
    assert len(set(tiles)) == len(tiles)
    size = min(tiling.side, height), min(tiling.side, width)
    assert {(ymax - ymin, xmax - xmin) for ymin, xmin, ymax, xmax in tiles} <= {size, (height, width)}


@given(tilings, lengths)
def test_neighbours_overlap_by_what_was_requested_and_the_last_is_flush(tiling, length):
    starts = tiling._starts(length)
    assert starts[0] == 0 and starts[-1] + min(tiling.side, length) == length
    stride = np.diff(starts)
    assert (stride >= 1).all()
    shared = tiling.side - stride
    # A stride is at least one pixel, even where the overlap would leave less.
    assert (shared >= min(tiling.side * tiling.overlap - 1e-6, tiling.side - 1)).all()
    assert len(set(stride[:-1])) <= 1


@given(st.integers(10, 60), st.floats(0.1, 0.9), st.integers(60, 200), st.data())
def test_an_object_up_to_the_size_of_the_overlap_is_whole_in_some_tile(side, overlap, length, data):
    tiling = Tiling(side, overlap)
    size = data.draw(st.integers(1, max(1, int(side * overlap))))
    low = data.draw(st.integers(0, length - size))
    assert any(start <= low and low + size <= start + side for start in tiling._starts(length))


def test_options_make_a_tiling():
    assert windows.make_tiling(options.TileOptions()) is None
    given_options = options.TileOptions(tiles=64, overlap=0.5, tiles_only=True)
    assert windows.make_tiling(given_options) == Tiling(64, 0.5, with_whole=False)


@pytest.mark.parametrize("wrong", [{"tiles": 31}, {"tiles": 64, "overlap": 0.95}, {"tiles": 64, "overlap": -0.1}])
def test_tiles_that_cannot_be_made_are_refused(wrong):
    with pytest.raises(errors.UsageError, match="expected: "):
        options.TileOptions(**wrong)
