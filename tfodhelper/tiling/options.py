"""The options of tiles; importing this module does not import TensorFlow."""

import dataclasses

from tfodhelper import options

SMALLEST_SIDE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileOptions(options.Options):
    """How large pictures are cut into tiles, if they are."""

    title = "Tiles"

    tiles: int | None = options.option(
        None,
        "Cuts pictures into square tiles with sides of so many pixels, which overlap, and finds objects in each, so "
        "that those that are small in the picture are large for the model. When omitted, the model sees whole "
        "pictures alone.",
        least=SMALLEST_SIDE,
    )
    overlap: float = options.option(
        0.2,
        "The part of a tile that the next one sees too. An object up to this size is whole in at least one tile.",
        least=0.0,
        most=0.9,
        only_with=("tiles",),
    )
    tiles_only: bool = options.option(
        False,
        "Leaves out the whole picture, in which objects are found that are larger than a tile.",
        only_with=("tiles",),
    )
