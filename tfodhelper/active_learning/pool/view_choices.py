"""How a model may see each image of a pool: what --views can be. Needs no library."""

PLAIN = "plain"  # as it is
FUSED = "fused"  # in the views of `views.make_views`, whose boxes are fused
