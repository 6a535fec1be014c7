"""Large pictures in tiles: where they are, and how the boxes of several tiles become those of the picture."""
