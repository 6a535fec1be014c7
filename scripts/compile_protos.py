"""Compiles tfodhelper/protos/*.proto into tfodhelper/protos/schema.binpb.

To be run after a change of a .proto file: `python scripts/compile_protos.py` (needs grpcio-tools, an extra of [dev]).
"""

import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tfodhelper" / "protos"


def compile_protos():
    """Returns the FileDescriptorSet of all .proto files, dependencies first, without comments.

    The compiler runs in a process of its own: its protobuf library and TensorFlow's do not live together in one.
    """
    sources = sorted(path.relative_to(ROOT).as_posix() for path in FOLDER.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "schema.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", f"--descriptor_set_out={target}"]
        subprocess.run([*command, *sources], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def main():
    """Writes the compiled schema next to its sources."""
    target = FOLDER / "schema.binpb"
    target.write_bytes(compile_protos().SerializeToString(deterministic=True))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
