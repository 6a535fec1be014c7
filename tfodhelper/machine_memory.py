"""How much memory this machine has left, and how much this process has used."""

import pathlib
import re

_GROUP = pathlib.Path("/sys/fs/cgroup")


def free_memory():
    """Free and total bytes of memory, the lower ones of the machine's and of the container's; None when unknown."""
    try:
        text = pathlib.Path("/proc/meminfo").read_text(encoding="ascii")
        sizes = {key: int(value) * 1024 for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
        free, whole = sizes["MemAvailable"], sizes["MemTotal"]
    except (OSError, KeyError):
        try:
            import psutil
        except ImportError:
            return None
        free, whole = psutil.virtual_memory().available, psutil.virtual_memory().total
    limit = _container_limit()
    if limit is not None:
        free, whole = min(free, limit[0]), min(whole, limit[1])
    return free, whole


def _container_limit():
    """Free and total bytes of memory that a control group leaves; None without one."""
    try:
        whole = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return max(whole - used, 0), whole


def peak_of_process():
    """The most memory that this process has occupied so far, in bytes; None where the system does not say."""
    try:
        text = pathlib.Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)[1]) * 1024
    except (OSError, TypeError):
        return None
