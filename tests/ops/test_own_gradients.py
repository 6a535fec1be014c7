"""Gradients of our own, and graphs without them."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import own_gradients


@own_gradients.with_own_gradient(plain=tf.multiply)
def multiply(values, factor):
    """The product, with gradients that are 100 more than they should be."""
    return values * factor, lambda upstream: (upstream * factor + 100.0, upstream * values + 100.0)


def differentiate():
    values, factor = tf.constant(3.0), tf.constant(5.0)
    with tf.GradientTape() as tape:
        tape.watch([values, factor])
        product = multiply(values, factor)
    return [float(product), *(float(gradient) for gradient in tape.gradient(product, [values, factor]))]


def test_the_gradient_is_our_own_but_where_it_is_left_out():
    assert differentiate() == [15.0, 105.0, 103.0]
    with own_gradients.left_out():
        assert differentiate() == [15.0, 5.0, 3.0]
        with own_gradients.left_out():
            pass
        assert differentiate() == [15.0, 5.0, 3.0]
    assert differentiate() == [15.0, 105.0, 103.0]
    with pytest.raises(ZeroDivisionError), own_gradients.left_out():
        raise ZeroDivisionError
    assert differentiate() == [15.0, 105.0, 103.0]


def test_other_threads_keep_theirs():
    found = []
    with own_gradients.left_out():
        thread = threading.Thread(target=lambda: found.append(differentiate()))
        thread.start()
        thread.join()
    assert found == [[15.0, 105.0, 103.0]]


def test_it_counts_while_a_graph_is_traced_not_while_it_runs():
    specs = [tf.TensorSpec([], tf.float32)] * 2
    with own_gradients.left_out():
        graph = tf.function(multiply).get_concrete_function(*specs)
    assert "IdentityN" not in {operation.type for operation in graph.graph.get_operations()}
    np.testing.assert_array_equal(graph(tf.constant(3.0), tf.constant(5.0)), 15.0)
    other = tf.function(multiply).get_concrete_function(*specs)
    assert "IdentityN" in {operation.type for operation in other.graph.get_operations()}
