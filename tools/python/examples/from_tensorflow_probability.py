"""TensorFlow Probability: a network of its layers; one of Keras with the means goes through tf2onnx."""

import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # TensorFlow Probability has layers for Keras 2 alone: tf_keras

import digits
import numpy as np
import onnx.numpy_helper
import tensorflow_probability as tfp
import tf2onnx
import tf_keras as keras

import mu8


def network(conv, dense, **options):
    return keras.Sequential([
        keras.layers.InputLayer((28, 28, 1)), conv(8, 5, activation="relu", **options), keras.layers.MaxPooling2D(),
        conv(16, 5, activation="relu", **options), keras.layers.MaxPooling2D(), keras.layers.Flatten(),
        dense(32, activation="relu", **options), dense(10, **options)])


keras.utils.set_random_seed(1)
train_x, test_x = (x.transpose(0, 2, 3, 1) for x in (digits.train_x, digits.test_x))  # Keras has channels last
net = network(tfp.layers.Convolution2DReparameterization, tfp.layers.DenseReparameterization,
              kernel_divergence_fn=lambda q, p, _: .1 * tfp.distributions.kl_divergence(q, p) / len(train_x))
net.compile(keras.optimizers.Adam(.003), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
net.fit(train_x, digits.train_y, batch_size=64, epochs=40, verbose=0)
means, random = network(keras.layers.Conv2D, keras.layers.Dense), []
for layer, plain in zip(net.layers, means.layers):
    if hasattr(layer, "kernel_posterior"):
        plain.set_weights([layer.kernel_posterior.mean(), layer.bias_posterior.mean()])
        random.append([getattr(layer.kernel_posterior, what)().numpy() for what in ("mean", "stddev")])
model, _ = tf2onnx.convert.from_keras(means)
arrays, sigmas = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}, {}
for mean, sigma in random:  # the initializer that has the mean; of convolutions [O, I, H, W]
    mean, sigma = (part.transpose(3, 2, 0, 1) if part.ndim == 4 else part for part in (mean, sigma))
    sigmas[next(name for name, array in arrays.items() if np.array_equal(array, mean))] = sigma
mu8.convert(model, sigmas, calibration=train_x, output="net.mu8")
digits.show(mu8.load("net.mu8").predict(test_x))
