"""show versions, devices, memory and disk, and what is missing

Shows which Keras is in use, too, and the command that installs or repairs what is missing.
Also works where TensorFlow is missing or broken. The exit status is 1 if something is missing.

  tfodhelper doctor
  tfodhelper doctor --output_dir=/data/runs     (the disk that a run will write to)
"""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

from tfodhelper import child_process, console, machine_memory, options
from tfodhelper.version import __version__

# As in setup.cfg, which a test compares: a checkout that was never installed has no metadata to ask.
REQUIREMENTS = (
    "absl-py>=1.4,<3",
    "google-crc32c>=1.5,<3",
    "Jinja2>=3.1,<4",
    "lxml>=4.9,<7",
    "matplotlib>=3.8,<4",
    "numpy>=1.26,<3",
    "pandas>=2.0,<4",
    "Pillow>=10,<14",
    "protobuf>=5.28,<8",
    "psutil>=5.9,<8",
    "pycocotools>=2.0.7,<3",
    "PyYAML>=6.0,<7",
    "setuptools>=70.1,<82",
    "tensorflow>=2.20,<2.21",
    "tf-models-official>=2.20,<2.21",
    "tf_keras>=2.20,<2.21",
    "Werkzeug>=3.0,<4",
)
GPU_REQUIREMENT = "tensorflow[and-cuda]>=2.20,<2.21"
MIN_PYTHON = (3, 10)
MIN_MEMORY_GB = 3.0
MIN_DISK_GB = 2.0

_GB = 2**30
_PROBE_TIMEOUT_S = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorOptions(options.Options):
    """All that `doctor` is told."""

    title = "Machine"

    output_dir: options.Path = options.option(".", "Folder whose disk is examined.")


def define_flags(fv):
    """Defines the flag of this verb."""
    from tfodhelper.cli import option_flags  # needs absl, which doctor can do without

    option_flags.define_flags(fv, DoctorOptions)


def main(fv, args):
    """Runs the verb; returns the exit status."""
    from tfodhelper.cli import flagging, option_flags

    flagging.refuse_arguments(args)
    return report(option_flags.read_options(fv, DoctorOptions).output_dir)


def report(folder="."):
    """Reports on the machine.

    Args:
      folder: its disk is examined.

    Returns:
      0, or 1 if something is missing.
    """
    console.say(f"tfodhelper {__version__} in {pathlib.Path(__file__).parents[1]}")
    console.say(f"Python {platform.python_version()} ({sys.executable}), {platform.platform()}")
    console.say("")
    rows = [(text, *installed_version(text)) for text in REQUIREMENTS]
    table = [(name_of(text), version or "-", wanted_of(text), state or "fits") for text, version, state in rows]
    console.say(console.format_table(["Package", "Installed", "Wanted", "State"], table))
    console.say("")
    probed = run_probe()
    for line in [*describe_devices(probed), *describe_machine(folder)]:
        console.say(line)
    problems = [*find_package_problems(rows), *find_probe_problems(probed, rows), *find_machine_problems(folder)]
    _say_problems(problems)
    if problems:
        return 1
    console.say_next("tfodhelper run --data_dir=FOLDER --model=ssd_mobilenet_v1 --output_dir=runs/first")
    return 0


def _say_problems(problems):
    console.say("")
    if not problems:
        console.say("Nothing is missing.")
        return
    console.say("Missing or wrong:")
    for problem, command in problems:
        console.say(f"  {problem}")
        console.say(f"    {command}")


def name_of(requirement):
    """The package's name in a requirement such as "numpy>=1.26,<3"."""
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0]


def wanted_of(requirement):
    """The range in a requirement: ">=1.26,<3"."""
    return re.sub(r"^[A-Za-z0-9_.-]+(\[[^]]*\])?", "", requirement)


def installed_version(requirement):
    """Looks for a package without importing it.

    Returns:
      (version or None, "" or "missing" or "outside the range").
    """
    try:
        version = importlib.metadata.version(name_of(requirement))
    except importlib.metadata.PackageNotFoundError:
        return None, "missing"
    return version, "" if is_in_range(version, wanted_of(requirement)) else "outside the range"


def is_in_range(version, wanted):
    """Whether a version is in a range of ">=" and "<" bounds; parts after the numbers do not count."""
    number = _numbers(version)
    for bound in wanted.split(","):
        if bound.startswith(">=") and number < _numbers(bound[2:]):
            return False
        if bound.startswith("<") and number >= _numbers(bound[1:]):
            return False
    return True


def _numbers(version):
    numbers = [int(part) for part in re.match(r"\d+(?:\.\d+)*", version)[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def run_probe():
    """Asks TensorFlow in a process of its own; see `tfodhelper.cli.probe`.

    Returns:
      What it found; {"errors": {"tensorflow": why}} when the process did not answer.
    """
    try:
        lines, ending = child_process.run_module("cli.probe", timeout_s=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {"errors": {"tensorflow": f"no answer in {_PROBE_TIMEOUT_S} s"}}
    answers = [line for line in lines if line.startswith("{")]
    if ending or not answers:
        return {"errors": {"tensorflow": ending or "its process gave no answer"}}
    return json.loads(answers[-1])


def describe_devices(probed):
    """Lines about Keras and the devices."""
    if "keras" not in probed:
        return ["Keras in use: none, TensorFlow cannot be imported", f"Processor cores: {os.cpu_count()}"]
    name = probed["keras"]
    lines = [f"Keras in use: {name} {installed_version(name)[0] or ''}".rstrip(), f"Processor cores: {os.cpu_count()}"]
    accelerators = [device for device in probed["devices"] if device[0] != "CPU"]
    for kind, name, text in accelerators:
        lines.append(f"Device: {kind} {name.rsplit('/', 1)[-1]} {text}".rstrip())
    if not accelerators:
        lines.append("Device: CPU only")
    return lines


def describe_machine(folder):
    """Lines about memory and disk."""
    memory = free_memory()
    lines = ["Memory: unknown"] if memory is None else [f"Memory: {memory[0]:.1f} GB free of {memory[1]:.1f} GB"]
    path = existing_part(folder)
    usage = shutil.disk_usage(path)
    lines.append(f"Disk: {usage.free / _GB:.1f} GB free of {usage.total / _GB:.1f} GB at {path}")
    return lines


def existing_part(folder):
    """The longest part of a path that exists."""
    path = pathlib.Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return path


def free_memory():
    """Free and total memory in GB, see `machine_memory.free_memory`; None when unknown."""
    memory = machine_memory.free_memory()
    return memory and (memory[0] / _GB, memory[1] / _GB)


def find_package_problems(rows):
    """Pairs (what is wrong, the command that fixes it) of packages and of Python."""
    problems = []
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        problems.append((f"Python {wanted} or later is needed", f"python{wanted} -m venv .venv"))
    bad = [(text, version, state) for text, version, state in rows if state]
    if bad:
        parts = []
        for kind in ("missing", "outside the range"):
            names = [f"{name_of(text)} {version or ''}".rstrip() for text, version, state in bad if state == kind]
            parts += [f"{kind}: {', '.join(names)}"] if names else []
        problem = "; ".join(parts)
        wanted = " ".join(f'"{text}"' for text, _, _ in bad)
        problems.append((problem, f"{sys.executable} -m pip install {wanted}"))
    return problems


def find_probe_problems(probed, rows):
    """Problems of packages that are installed and cannot be imported, and of a GPU that TensorFlow does not see."""
    problems = []
    missing = {name_of(text) for text, version, _ in rows if version is None}
    packages = {"tensorflow": "tensorflow", "tf_keras": "tf_keras", "pycocotools.mask": "pycocotools"}
    for module, message in probed["errors"].items():
        package = packages.get(module, "tf-models-official")
        if package in missing or ("tensorflow" in missing and package != "pycocotools"):
            continue
        requirement = next(text for text in REQUIREMENTS if name_of(text) == package)
        command = f'{sys.executable} -m pip install --force-reinstall --no-deps "{requirement}"'
        problems.append((f"{module} cannot be imported: {message}", command))
    has_gpu = any(device[0] == "GPU" for device in probed.get("devices", []))
    if "devices" in probed and has_nvidia_driver() and not has_gpu:
        command = f'{sys.executable} -m pip install "{GPU_REQUIREMENT}"'
        problems.append(("this machine has an NVIDIA driver, but TensorFlow sees no GPU", command))
    return problems


def has_nvidia_driver():
    """Whether the driver of an NVIDIA card is loaded."""
    return pathlib.Path("/proc/driver/nvidia/version").exists()


def find_machine_problems(folder):
    """Problems of memory and disk."""
    problems = []
    memory = free_memory()
    if memory is not None and memory[0] < MIN_MEMORY_GB:
        problem = f"{memory[0]:.1f} GB of memory are free; training at batch 8 takes about {MIN_MEMORY_GB:.0f} GB"
        problems.append((problem, "end other programs, or train with --batch_size=2"))
    path = existing_part(folder)
    free = shutil.disk_usage(path).free / _GB
    if free < MIN_DISK_GB:
        problem = f"{free:.1f} GB are free at {path}; a run takes about {MIN_DISK_GB:.0f} GB"
        problems.append((problem, "free some space, or choose another disk with --output_dir"))
    if not os.access(path, os.W_OK):
        problems.append((f"{path} cannot be written", "choose another folder with --output_dir"))
    return problems
