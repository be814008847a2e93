"""Checks that a wheel is one for all Pythons of a platform, and holds what it should and no more.

Usage: check_wheel.py WHEEL
"""

import sys
import zipfile
from pathlib import Path

SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"
WANTED = {
    f"xbarax/_kernels/libxbarax_native{SUFFIX}",
    f"xbarax/hardware/libxbarax_reference_driver{SUFFIX}",
    f"xbarax/hardware/libxbarax_reference{SUFFIX}",
    f"xbarax/hardware/libxbarax_simulated_driver{SUFFIX}",
    "xbarax/hardware/include/xbarax/driver.h",
    "xbarax/hardware/skeleton/CMakeLists.txt.template",
    "xbarax/hardware/skeleton/README.c.md.template",
    "xbarax/hardware/skeleton/README.python.md.template",
    "xbarax/hardware/skeleton/driver.c.template",
    "xbarax/hardware/skeleton/driver.py.template",
    "xbarax/__init__.py",
    "xbarax/py.typed",
}
SOURCES = (".c", ".cc", ".cmake")


def problems(wheel: Path) -> list[str]:
    """What is wrong with the wheel, one sentence each."""
    found = []
    name, version, python, abi, platform = wheel.stem.split("-")
    if (python, abi) != ("py3", "none") or platform == "any":
        found.append(f"the tag is {python}-{abi}-{platform}, expected py3-none-<platform>")
    with zipfile.ZipFile(wheel) as archive:
        names = {entry for entry in archive.namelist() if not entry.endswith("/")}
    found += [f"{missing} is missing" for missing in sorted(WANTED - names)]
    folders = ("xbarax/", f"{name}-{version}.dist-info/")
    found += [
        f"{entry} does not belong in a wheel"
        for entry in sorted(names)
        if not entry.startswith(folders) or entry.endswith(SOURCES) or "__pycache__" in entry
    ]
    return found


def main() -> int:
    """Prints what is wrong, or that nothing is."""
    wheel = Path(sys.argv[1])
    found = problems(wheel)
    print("\n".join(found) if found else f"{wheel.name} is complete")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
