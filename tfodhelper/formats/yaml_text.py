"""Reads YAML without what can make a small file large.

An alias repeats another part of the document, so that lists of aliases have billions of entries in a
few hundred bytes. An alias of a text or a number is harmless and is read.
"""

import collections

import yaml

from tfodhelper import errors, limits

_MOST_EVENTS = 4 * limits.MAX_CLASSES + 1000  # a name and its index are two
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _PlainLoader(_LOADER):
    """Reads all values as the texts that they are written as, so that a class called `no` or 1.10 keeps its name."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
        for first, resolvers in _LOADER.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        """As in the base class, but a key that occurs twice is an error; otherwise the last one would win silently."""
        keys = collections.Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in keys.most_common(1):
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text, source):
    """The value of a YAML document: lists, dicts, texts and None; numbers and truth values are texts, as written.

    Args:
      text: the document.
      source: its file, for messages.

    Raises:
      AnnotationError: it is not YAML, has a key twice, is too large, is nested too deeply, or repeats lists by aliases.
    """
    try:
        _check_events(text, source)
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise errors.AnnotationError(f"{source}: cannot be read as YAML: {error}") from None


def _check_events(text, source):
    """Reads the document without building anything of it, and raises an error for what must not be built."""
    depth, scalars = 0, set()
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _MOST_EVENTS:
            raise errors.AnnotationError(f"{source}: has too many entries", expected=f"at most {limits.MAX_CLASSES}")
        if isinstance(event, yaml.AliasEvent) and event.anchor not in scalars:
            raise errors.AnnotationError(
                f"{source}: the alias *{event.anchor} repeats a list or a mapping, which is not read",
                fix="write its content in place of the alias",
            )
        if isinstance(event, yaml.ScalarEvent) and event.anchor:
            scalars.add(event.anchor)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > limits.MAX_DEPTH:
            raise errors.AnnotationError(
                f"{source}: is nested too deeply", expected=f"at most {limits.MAX_DEPTH} levels"
            )
