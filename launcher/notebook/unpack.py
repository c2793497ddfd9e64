"""The one function every cell has, put into the cells as text: it unpacks the launcher's package and calls it.

It stands alone: nothing of the launcher can be imported before it has run.
"""


# fmt: off
async def oneclick(  # noqa: PLR0915  # it stands alone
    call: str, digest: str, fields: "dict[str, object]", files: "dict[str, str] | None" = None
) -> None:
    """Run one function of the launcher, whose package lies on this machine's disk in a folder named by its hash."""
    import hashlib
    import importlib.util
    import os
    import shutil
    import sys
    from pathlib import Path

    if sys.version_info < (3, 11):  # noqa: UP036  # before anything below that an old Python does not understand
        print(f"The launcher needs Python 3.11 or newer, and this Jupyter has {sys.version.split()[0]}. "
              "Colab has it: open the notebook there, or choose a newer Python here, and press ▶ again.")
        return

    if sys.platform != "linux":
        print("The launcher needs Linux, and this Jupyter runs on another system. Open the notebook in Colab.")
        return

    def digest_of(files: dict[str, str]) -> str:
        return hashlib.sha256("".join(f"{name}\0{files[name]}\0" for name in sorted(files)).encode()).hexdigest()[:16]

    def in_the_notebook() -> dict[str, str]:
        """The package out of the notebook's text, which Colab's page knows; empty where it does not answer."""
        import ast
        import signal

        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else ■ would wait for the answer
        try:
            message = importlib.import_module("google.colab._message")
            print("Asking Colab for the launcher, which this machine does not have yet.")
            cells = message.blocking_request("get_ipynb", timeout_sec=10)["ipynb"]["cells"]
        except Exception as error:  # Colab's errors share no base class; whichever it was, ▶ on the first cell helps
            why.append(f" (Colab did not hand out the notebook's text: {type(error).__name__}.)")
            return {}
        except KeyboardInterrupt:
            return {}
        finally:
            signal.signal(signal.SIGINT, before)
        for text in ("".join(cell.get("source", "")) for cell in cells):
            if f'oneclick("launch", "{digest}"' in text:
                calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
                return dict(ast.literal_eval(next(c for c in calls if getattr(c.func, "id", "") == "oneclick").args[3]))
        return {}

    why: list[str] = []
    needed = ("aiohttp", "filelock", "psutil", "requests")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"This Jupyter lacks {', '.join(missing)}. Colab has all that is needed: open the notebook there, or run "
              f"%pip install {' '.join(missing)} in a new cell, and press ▶ again.")
        return
    # Only Colab has these; Kaggle and others lend its image, and with it COLAB_RELEASE_TAG. Where the package is
    # unpacked tells it which of the two it is (`core.problem`).
    colab = Path("/var/colab/hostname").exists() or any(name.startswith("TBE_") for name in os.environ)
    colab = colab and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ
    base = Path(os.environ.get("ONECLICK_HOME") or ("/content" if colab else "~/oneclick")).expanduser().absolute()
    place = base / ("oneclick" if colab else "machine") / "program" / digest
    on_disk = {path.relative_to(place).as_posix(): path.read_bytes().decode(errors="replace")
               for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    if digest_of(on_disk) != digest:
        if files and digest_of(files) != digest:
            print("The text of this cell was changed (a key press or an assistant can do that), so it no longer runs. "
                  "For a fresh copy of the notebook, press Open in Colab at the top.")
            return
        files = files or in_the_notebook()
        if digest_of(files) != digest:
            print("Press ▶ on the first cell once, then press ▶ here again." + "".join(why))
            return
        part, changed = (place.with_name(f".{digest}.{os.getpid()}{end}") for end in ("", ".changed"))
        for name, text in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(text.encode())
        if place.exists():  # somebody changed it
            os.rename(place, changed)
        os.rename(part, place)
        shutil.rmtree(changed, ignore_errors=True)
    for name in [name for name in sys.modules if name.partition(".")[0] == "launcher"]:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(f"{place}{os.sep}"):
            continue
        del sys.modules[name]  # another version of the launcher, whose files tell what it left running, or a stranger's
    sys.path[:] = [str(place), *(entry for entry in sys.path if Path(entry).parent != place.parent)]
    importlib.invalidate_caches()
    await importlib.import_module("launcher.cells").run_cell(call, fields)
