"""Further feature maps of SSD, each half the size of the last (Liu et al. 2016, section 2.1; arXiv 1512.02325)."""

import dataclasses

import tf_keras

from tfodhelper.models import keras_keys, layers, slim_naming


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the maps that follow the backbone's are made.

    Attributes:
      depths: numbers of channels before the multiplier, one for each further map.
      depth_multiplier: of all numbers of channels.
      min_depth: least number of channels.
      explicit_padding: see `convolution.Convolution.call`.
      use_depthwise: whether the 3x3 convolution is split into a depthwise and a pointwise one.
      scope: of the further maps in object-graph checkpoints.
    """

    depths: tuple = (512, 256, 256, 128)
    depth_multiplier: float = 1.0
    min_depth: int = 16
    explicit_padding: bool = False
    use_depthwise: bool = False
    scope: str = "_feature_map_generator"


class MultiResolutionNeck(tf_keras.layers.Layer):
    """Puts smaller maps after those of the backbone: a 1x1 convolution to half the depth, then a 3x3 with stride 2.

    Args:
      backbone_depths: numbers of channels of the backbone's maps.
      layout: a `Layout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, backbone_depths, layout, hyperparams, frozen=False, name="neck"):
        super().__init__(name=name)
        self._num_backbone_maps = len(backbone_depths)
        self._layout = layout
        self._depths = list(backbone_depths)
        self.stages = []
        for number, depth in enumerate(layout.depths, start=self._num_backbone_maps):
            self.stages.append(self._build_stage(self._depths[-1], depth, number, hyperparams, frozen))
            self._depths.append(layers.scale_depth(depth, layout.depth_multiplier, layout.min_depth))
        self.built = True

    def _build_stage(self, in_channels, depth, number, hyperparams, frozen):
        """The blocks that make one map from the one before."""
        layout = self._layout
        middle = layers.scale_depth(depth // 2, layout.depth_multiplier, layout.min_depth)
        out_channels = layers.scale_depth(depth, layout.depth_multiplier, layout.min_depth)
        shrink = {"strides": 2, "explicit_padding": layout.explicit_padding}
        blocks = [layers.build_block(hyperparams, frozen, in_channels, middle, 1, name=f"map_{number}_1x1")]
        if not layout.use_depthwise:
            blocks.append(
                layers.build_block(hyperparams, frozen, middle, out_channels, 3, name=f"map_{number}_3x3", **shrink)
            )
            return blocks
        blocks.append(
            layers.build_depthwise_block(hyperparams, frozen, middle, 3, name=f"map_{number}_depthwise", **shrink)
        )
        blocks.append(layers.build_block(hyperparams, frozen, middle, out_channels, 1, name=f"map_{number}_pointwise"))
        return blocks

    @property
    def depths(self):
        """Numbers of channels of all maps, those of the backbone first."""
        return list(self._depths)

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c] -> the same list followed by the further maps."""
        feature_maps = list(feature_maps)
        for stage in self.stages:
            outputs = feature_maps[-1]
            for block in stage:
                outputs = block(outputs, training=training)
            feature_maps.append(outputs)
        return feature_maps

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for stage in self.stages for block in stage for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{`SCOPE/convolutions/MAP/PLACE/name`: variable}.

        MAP counts all maps; PLACE counts convolution, batch norm and activation, and explicit padding as a step of
        its own.
        """
        keys = {}
        for number, stage in enumerate(self.stages, start=self._num_backbone_maps):
            index_in_map = 0
            for index, block in enumerate(stage):
                if index == 1 and self._layout.explicit_padding:
                    index_in_map += 1
                prefix = f"{self._layout.scope}/convolutions/{number}"
                keys.update(keras_keys.keys_under(f"{prefix}/{index_in_map}", block.convolution))
                keys.update(keras_keys.keys_under(f"{prefix}/{index_in_map + 1}", block.norm))
                index_in_map += 3
        return keys

    def slim_names(self, stage, backbone):
        """{own key: names in first-generation checkpoints}.

        Args:
          stage: scope of the feature extractor.
          backbone: has `slim_scope` and `slim_output`, after which the layers are named.
        """
        scoped = []
        for number, blocks in enumerate(self.stages, start=self._num_backbone_maps):
            middle, out_channels = (block.convolution.out_channels for block in (blocks[0], blocks[-1]))
            last = f"{backbone.slim_output}_2_Conv2d_{number}_3x3_s2_{out_channels}"
            names = [f"{backbone.slim_output}_1_Conv2d_{number}_1x1_{middle}"]
            names += [f"{last}_depthwise", last] if self._layout.use_depthwise else [last]
            for name, block in zip(names, blocks):
                scoped.append(([f"{stage}/{backbone.slim_scope}/{name}", f"{stage}/{name}"], block))
        return slim_naming.name_variables(self, scoped)
