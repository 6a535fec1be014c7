"""The row of the toy family. It borrows the place of CenterNet in the schema, which no family has."""

from tfodhelper.families import spec
from tfodhelper.families.rules import Hint, make

PRESENCE, CORNERS = "Loss/toy/presence", "Loss/toy/corners"

FAMILY = spec.Family(
    name="center_net",
    builder="tests.families.toy.build:build_toy",
    rules={"CenterNet": make("num_classes image_resizer", use_depthwise=Hint("toys have no depthwise convolutions"))},
    loss_terms=lambda model: {PRESENCE: "presence", CORNERS: "corners"},
    default_batch_size=lambda model: 4,
)
