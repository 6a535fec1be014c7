"""A neck that the first generation alone has, and whose variables are named by their scopes there."""

import abc

import tf_keras

from tfodhelper.models import slim_naming


class ScopedNeck(tf_keras.layers.Layer, abc.ABC):
    """A neck whose blocks have a scope in TF-Slim each; there is no published object graph with other names."""

    @abc.abstractmethod
    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""

    @abc.abstractmethod
    def slim_scope(self, backbone):
        """Name of the neck's scope in that of the feature extractor."""

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for _, block in self.scoped_blocks() for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        return {
            f"{scope}/{name}": variable
            for scope, block in self.scoped_blocks()
            for name, variable in block.checkpoint_keys().items()
        }

    def slim_names(self, stage, backbone):
        """{own key: names in first-generation checkpoints}; `stage` is the scope of the feature extractor."""
        prefix = f"{stage}/{self.slim_scope(backbone)}"
        return slim_naming.name_variables(
            self, [([f"{prefix}/{scope}"], block) for scope, block in self.scoped_blocks()]
        )
