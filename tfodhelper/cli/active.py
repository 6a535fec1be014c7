"""active learning: rounds that let the detector label a pool of images

Few images have boxes and many have none. Each round trains a detector on what is labelled, predicts the pool, chooses
images, asks an oracle about them and adopts what it confirms. The oracle may be the class that each image is known to
show (image_label), a person with LabelImg (labelimg) or Label Studio (label_studio), or hidden answers (simulated), for
experiments.

  tfodhelper active init --workspace=growing --data_dir=photos --model=ssd_mobilenet_v1 --oracle=labelimg
  tfodhelper active round --workspace=growing

The workspace holds links to the images and copies of their XML; your own folders are never changed. Each verb may be
interrupted at any time; the same command resumes it.
"""

VERBS = {
    "init": ("tfodhelper.cli.active_init", "make a workspace of labelled images, validation and pool"),
    "round": ("tfodhelper.cli.active_round", "do the next round, or resume the one that waits"),
    "run": ("tfodhelper.cli.active_run", "do several rounds, and train once more at the end"),
    "predict": ("tfodhelper.cli.active_predict", "predict a share of the pool, on several machines at once"),
    "status": ("tfodhelper.cli.active_status", "where a workspace stands and what to do next"),
    "report": ("tfodhelper.cli.active_report", "tables, plots and a page of all rounds; the T/F/N sheet"),
}
