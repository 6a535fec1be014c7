"""How the keys of checkpoints are made up: `model/` before a variable's own path, TensorFlow's suffix behind it."""

ROOT = "model"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
