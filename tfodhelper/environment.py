"""On what a job ran: versions of what computes, processor, memory. Imports nothing that takes time."""

import importlib.metadata
import os
import platform
import sys

from tfodhelper import machine_memory
from tfodhelper.version import __version__

_PACKAGES = ("tensorflow", "tf_keras", "tf-models-official", "numpy", "Pillow")
_GIB = 1 << 30


def describe() -> dict[str, str]:
    """{name: text}, as a report shows them."""
    facts = {"tfodhelper": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    facts["system"] = f"{platform.system()} {platform.release()}, {platform.machine()}"
    facts["processors"] = str(os.cpu_count())
    memory = machine_memory.free_memory()
    if memory is not None:
        facts["memory"] = f"{memory[1] / _GIB:.1f} GiB"
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:  # a job that computes has imported it
        devices = tensorflow.config.list_physical_devices()
        facts["devices"] = ", ".join(device.name.removeprefix("/physical_device:") for device in devices)
    return facts
