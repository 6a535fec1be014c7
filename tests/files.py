"""What is in a folder, as tests compare it."""


def list_all(folder):
    """Relative POSIX paths of all files and folders below a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def list_files(folder):
    """The same without the folders."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
