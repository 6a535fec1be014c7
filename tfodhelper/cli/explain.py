"""show why a detector finds what it finds: heat maps, boxes, filters

    tfodhelper explain --trained_checkpoint_dir=runs/first --output_dir=explained photo.jpg

Needs gradients, and so a checkpoint with its pipeline.config: a run folder, the folder of a training or of an export,
or an archive of the zoo; a SavedModel or a TFLite file alone will not do. Works for detectors of one and of two stages.

--output_dir receives
  explanations.html   everything on one page
  explanations.json   for each detection: class, score and box; the anchor or the proposal that it was made of, and the
                      boxes that suppression removed for its sake; the scores with parts of the image hidden
  images/NAME/        for each detection, where its score comes from (heat) and the boxes that led to it (origin);
                      the most active channels of the layers (layer)
  filters/            with --filter: for each channel, the image to which it responds most

--list_layers prints what --layer can be:

  tfodhelper explain --trained_checkpoint_dir=runs/first --list_layers
"""

from tfodhelper.cli import option_flags
from tfodhelper.explaining.options import ExplainOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ExplainOptions)


def main(fv, args):
    """Runs the verb."""
    options = option_flags.read_options(fv, ExplainOptions, images=tuple(args))
    from tfodhelper.explaining import explain_images

    explain_images.explain(options)
