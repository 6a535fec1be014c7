"""Compiles tfodhelper/protos/*.proto into tfodhelper/protos/schema.binpb, and serving.proto into serving.binpb.

To be run after a change of a .proto file: `python scripts/compile_protos.py` (needs grpcio-tools, an extra of [dev]).
"""

import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tfodhelper" / "protos"


SERVING = "serving.proto"  # of another package than the rest


def compile_protos(names=None):
    """Returns the FileDescriptorSet of .proto files, dependencies first, without comments.

    Args:
      names: of the files; all of the schema of the Object Detection API when omitted.

    The compiler runs in a process of its own: its protobuf library and TensorFlow's do not live together in one.
    """
    names = names or sorted(path.name for path in FOLDER.glob("*.proto") if path.name != SERVING)
    sources = [(FOLDER / name).relative_to(ROOT).as_posix() for name in names]
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "schema.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", f"--descriptor_set_out={target}"]
        subprocess.run([*command, *sources], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def main():
    """Writes the compiled files next to their sources."""
    for name, sources in (("schema.binpb", None), ("serving.binpb", [SERVING])):
        target = FOLDER / name
        target.write_bytes(compile_protos(sources).SerializeToString(deterministic=True))
        print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
