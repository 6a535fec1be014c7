"""Draws images of shapes with LabelImg XML: draw_shapes.py --output_dir=FOLDER --num_images=200 --seed=1."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfodhelper.dataset import shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", required=True, help="folder to write; same names are replaced")
    parser.add_argument("--num_images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--masks", action="store_true", help="also write the outlines of the shapes, as polygons")
    options = parser.parse_args()
    paths = shapes.draw_dataset(options.output_dir, options.num_images, options.seed, with_masks=options.masks)
    masks = " and masks" if options.masks else ""
    print(f"{len(paths)} images with XML{masks} in {options.output_dir}")


if __name__ == "__main__":
    main()
