"""The version of tfodhelper, which modules import from here: the package itself imports them."""

__version__ = "0.1.0"
