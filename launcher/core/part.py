"""Starts a part of the launcher (`process.own_part`): python -m launcher.core.part PLACES MODULE [ARGUMENT...].

A kernel may find its packages by PYTHONPATH, by a .pth file or by lines of code; its child processes do not. So the places where the
kernel looks for modules are handed over, behind the part's own.
"""

import os
import runpy
import sys


def main() -> None:
    """Look for modules where the kernel does, and run the module as the program."""
    _, places, module, *arguments = sys.argv
    sys.path += [place for place in places.split(os.pathsep) if place and place not in sys.path]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
