"""Options for the list of the zoo's models."""

import dataclasses

from tfodhelper import options


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions(options.Options):
    """Options of the verb `zoo`, besides search words."""

    title = "List"

    trainable: bool = options.option(False, "Shows only models that can be trained with this program.")
    url: bool = options.option(False, "Also shows where each archive was published.")
