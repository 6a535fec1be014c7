import collections

from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.prediction import predictor

SIZES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=20)


@given(SIZES, st.integers(1, 5), st.booleans())
def test_each_image_occurs_once_and_no_call_is_too_large(sizes, batch_size, mixes_sizes):
    batches = predictor.plan_batches(sizes, batch_size, mixes_sizes)
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    if not mixes_sizes:
        assert all(len({sizes[index] for index in batch}) == 1 for batch in batches)


@given(SIZES, st.integers(1, 5))
def test_no_more_calls_than_needed(sizes, batch_size):
    mixed = predictor.plan_batches(sizes, batch_size, mixes_sizes=True)
    assert len(mixed) == -(-len(sizes) // batch_size)
    alike = predictor.plan_batches(sizes, batch_size, mixes_sizes=False)
    assert len(alike) == sum(-(-count // batch_size) for count in collections.Counter(sizes).values())


def test_images_of_one_size_keep_their_order():
    assert predictor.plan_batches([(5, 5)] * 5, 2, mixes_sizes=False) == [[0, 1], [2, 3], [4]]


def test_a_large_image_does_not_blow_up_a_call():
    # Together the two would be padded to 20000 x 20000 pixels, 2.4 GB.
    assert predictor.plan_batches([(20000, 100), (100, 20000)], 8, mixes_sizes=True) == [[1], [0]]
