"""Losses and gradients of one batch on one device and on two; prints the largest relative differences."""

import sys

import numpy as np
import tensorflow as tf

from tests.models import images, parity, variants


def step(detector, inputs, shapes, groundtruth, num_replicas=1):
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
        total = tf.add_n(list(detector.losses(predictions, groundtruth, training=True).values())) / num_replicas
    return total, tape.gradient(total, detector.trainable_variables)


def main(name):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    groundtruth = images.make_groundtruth([(1, 0.1, 0.1, 0.5, 0.6), (2, 0.3, 0.4, 0.9, 0.9)])
    single = variants.build_variant(name)
    with strategy.scope():
        mirrored = variants.build_variant(name)
    for ours, other in zip(single.checkpoint_keys().values(), mirrored.checkpoint_keys().values()):
        other.assign(ours)
    single.sample_order = mirrored.sample_order = parity.lowest_first
    inputs, shapes = single.preprocess(images.make_images())
    batch = inputs, shapes, groundtruth

    def of_replica(context):
        i = context.replica_id_in_sync_group
        return tf.nest.map_structure(lambda value: value[i : i + 1], batch)

    parts = strategy.experimental_distribute_values_from_function(of_replica)

    @tf.function
    def run(parts):
        per_replica = strategy.run(lambda part: step(mirrored, *part, num_replicas=2), args=(parts,))
        return tf.nest.map_structure(lambda value: strategy.reduce("SUM", value, axis=None), per_replica)

    losses, gradients = run(parts)
    wanted_losses, wanted_gradients = step(single, *batch)
    largest = max(float(tf.norm(gradient)) for gradient in wanted_gradients)
    differences = [float(tf.norm(a - b)) / largest for a, b in zip(gradients, wanted_gradients)]
    print("LOSS", abs(float(losses / wanted_losses) - 1.0), "GRADIENT", np.max(differences))


if __name__ == "__main__":
    main(sys.argv[1])
