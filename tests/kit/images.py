"""Base images of what this machine has, where none can be pulled: programs with the libraries they need, as a tar."""

import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["APPLETS", "archive", "busybox", "python", "systemd"]

APPLETS = ("sh", "wget", "sleep", "grep", "cut", "cat", "mkdir", "chown")
OF_WHEELS = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6")
"""What compiled packages may expect of a system (manylinux), beside what Python itself needs."""

LEFT_OUT = re.compile(r"/(test|tests|idlelib|tkinter|turtledemo|lib2to3|__pycache__|config-[^/]*|site-packages)(/|$)")


def busybox() -> dict[str, Path | str | bytes]:
    """Return a shell and a client of HTTP, in one static program."""
    program = shutil.which("busybox")
    assert program is not None
    return {"bin/busybox": Path(program), **{f"bin/{applet}": "busybox" for applet in APPLETS}}


def python() -> dict[str, Path | str | bytes]:
    """Return the Python that runs this, without what was installed for it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    files = [each for each in library.rglob("*") if each.is_file() and not LEFT_OUT.search(str(each))]
    program = Path(sys.executable).resolve()
    return {
        f"usr/local/bin/{version}": program,
        "usr/local/bin/python3": version,
        **{f"usr/local/lib/{version}/{each.relative_to(library)}": each for each in files},
        **libraries([program, *(each for each in files if each.suffix == ".so")]),
    }


def systemd() -> dict[str, Path | str | bytes]:
    """Return systemd as it is here, with its targets and none of its services."""
    units = Path("/lib/systemd/system")
    programs = [Path("/lib/systemd/systemd"), Path("/bin/systemctl"), Path("/bin/systemd-analyze")]
    return {
        **{str(each)[1:]: each for each in programs},
        **{str(each)[1:]: each for each in units.iterdir() if each.suffix in {".target", ".slice"}},
        **libraries(programs),
        "etc/machine-id": b"",
        "etc/os-release": b"ID=debian\n",
    }


def libraries(programs: Iterable[Path]) -> dict[str, Path | str | bytes]:
    """Return the shared libraries that programs need, where they look for them if those are the system's own."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}
    own = ("/lib", "/usr/")
    system = [path.parent for path in found if path.name.startswith("libc.so")]
    found |= {folder / name for folder in system for name in OF_WHEELS if (folder / name).exists()}
    return {str(path)[1:] if str(path).startswith(own) else f"usr/lib/{path.name}": path for path in sorted(found)}


def archive(entries: Mapping[str, Path | str | bytes]) -> bytes:
    """Return a tar of files: from this machine, as links (text), or as they are (bytes)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        above = {str(folder) for name in entries for folder in Path(name).parents if folder.name}
        for folder in sorted(above | {"tmp", "run", "etc", "proc", "sys", "dev"}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, what in entries.items():
            if isinstance(what, Path):
                tar.add(what, name, recursive=False)
                continue
            entry = tarfile.TarInfo(name)
            if isinstance(what, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, what
            else:
                entry.size, entry.mode = len(what), 0o644
            tar.addfile(entry, None if isinstance(what, str) else io.BytesIO(what))
    return packed.getvalue()
