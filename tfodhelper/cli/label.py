"""label images in the browser: confirm, correct and draw boxes

    tfodhelper label --data_dir=FOLDER

Shows the images of a folder with their boxes on a page of this machine, whose address it prints. What is changed there
is saved at once, as LabelImg XML next to the images. Images that nobody has accepted yet come first.

With an exported detector, images without XML show what it finds, and the most doubtful ones come first:

    tfodhelper label --data_dir=FOLDER --saved_model_dir=runs/first

Enter confirms a box, X deletes it, I makes it an ignored region, of which nothing is learned, W draws one, the arrows
move it, 1 to 9 or C change its class, U undoes, and Space accepts the image, which marks it as verified as LabelImg
does; ? shows all keys. Files that another program changes in
the meantime are not overwritten. Ctrl-C, or Q on the page, ends it; the same command continues.

The page needs no network and is not reachable from other machines. To use it from one, forward the port:

    ssh -L 8765:127.0.0.1:8765 MACHINE tfodhelper label --data_dir=FOLDER --port=8765
"""

from tfodhelper.cli import flagging, option_flags
from tfodhelper.labelling.options import LabelOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, LabelOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, LabelOptions)
    from tfodhelper import label_folder

    label_folder.label(options)
