"""The real A1111 with settings from elsewhere: every image and every saved image is on Drive within ten seconds.

    python -m tests.programs.real_outputs --upstreams DIR --home DIR [--write docs/dev/faults.md]

Six config.json files, their settings named by A1111's own source of six versions. With each the real A1111 is started
by ▶ on what is a new machine but for its packages; Chromium presses Generate (two images and a grid) and Save.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from launcher.webui.settings_files import OUTPUT, declared_settings
from tests.programs.marks import rewrite
from tests.programs.real import A1111, REAL_LINK, RealWorld, kernel_of, places_asked, started, upstream, way_in
from tests.world import CLIP_REPO, WEBUI
from tests.world.browser import chromium, log_in

MARK = "<!-- made by make real-outputs: images -->"
IMAGES_A_RUN = 4  # two, their grid, and the saved one
PROMISED = 10.0  # seconds


@dataclass(frozen=True)
class Case:
    """A config.json: whose settings, and where they lead."""

    version: str
    title: str
    folder: str  # {home} is the machine; the setting's own name is added
    both: bool = False  # outdir_samples and outdir_grids are set too, and win over the more special ones


CASES = (
    Case("v1.4.1", "relative, as every A1111 without --data-dir writes them", "outputs"),
    Case("v1.6.1", "relative, a name of one's own", "my pictures/2023", both=True),
    Case("v1.7.0", "absolute, below another drive_folder of this machine", "{home}/machine/data/other/outputs"),
    Case("v1.8.0", "absolute, of another launcher", "{home}/gdrive/MyDrive/sd/stable-diffusion-webui/outputs"),
    Case("v1.9.4", "with ~", "~/pictures", both=True),
    Case(A1111, "a place that cannot be written to", "/proc/pictures"),
)


def settings_of(case: Case, bare: Path, home: Path) -> dict[str, str]:
    """The output settings that version has, leading to the case's folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "modules").mkdir()
        for name in ("shared_options.py", "shared.py"):
            shown = subprocess.run(
                ["git", "-C", str(bare), "show", f"{case.version}:modules/{name}"], capture_output=True, check=False
            )
            if not shown.returncode:
                (Path(folder) / "modules" / name).write_bytes(shown.stdout)
        names = [name for name in declared_settings(Path(folder)) if name.startswith(OUTPUT)]
    assert len(names) > 7, f"{case.version} should have a list of output settings"
    settings = {name: f"{case.folder.format(home=home)}/{name.removeprefix('outdir_')}" for name in names}
    if not case.both:
        settings |= {"outdir_samples": "", "outdir_grids": ""}
    return settings


def pictures(roots: list[Path]) -> Counter[str]:
    """SHA-256 of each finished picture below some folders -> how many files have it. Links are not followed."""
    found: Counter[str] = Counter()
    for root in roots:
        for where, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in (".git", "python", "repositories", ".oneclick")]
            for name in names:
                path = Path(where, name)
                if name.endswith(".png") and not path.is_symlink():
                    found[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    return found


def one_case(world: RealWorld, case: Case, options: argparse.Namespace) -> str:
    """One row of the table; raises AssertionError where an image is not on Drive in time."""
    home: Path = options.home
    kept, machine = home / "drive" / "asd1111" / "stable-diffusion-webui", home / "machine"
    shutil.rmtree(machine / "data", ignore_errors=True)
    settings = settings_of(case, upstream(options.upstreams, WEBUI), home)
    (kept / "config.json").write_text(json.dumps({**settings, "samples_format": "png"}))
    written = [machine / "data", machine / "stable-diffusion-webui", home / "gdrive"]
    with kernel_of(world, home, options.python) as kernel:
        started(kernel, checkpoint=REAL_LINK)
        url, password = way_in(kernel)
        machine_before, drive_before = pictures(written), pictures([kept])
        with chromium(viewport={"width": 1280, "height": 900}) as browser:
            page = browser.new_page()
            log_in(page, url, password)
            box = page.locator("#txt2img_prompt textarea").first
            box.wait_for(timeout=240_000)
            box.fill("a lighthouse in the fog")
            page.locator("#txt2img_generate").first.click()
            wait_for(lambda: (pictures(written) - machine_before).total() >= IMAGES_A_RUN - 1, 240, page)
            page.wait_for_timeout(3000)  # the gallery has them
            page.locator("#save_txt2img").first.click()
            wait_for(lambda: (pictures(written) - machine_before).total() >= IMAGES_A_RUN, 60, page)
        made, began = pictures(written) - machine_before, time.monotonic()
        while pictures([kept]) - drive_before != made:
            missing = made - (pictures([kept]) - drive_before)
            assert time.monotonic() < began + PROMISED, (
                f"{case.title}: {missing.total()} of {made.total()} not on Drive"
            )
            time.sleep(0.2)
        after = json.loads((kept / "config.json").read_text())
        same = all(after.get(name) == value for name, value in settings.items())
        where = sorted(
            {
                str(path.parent.relative_to(kept)).split("/20")[0]
                for path in kept.rglob("*.png")
                if hashlib.sha256(path.read_bytes()).hexdigest() in made
            }
        )
        asked = [entry for entry in world.hub.log if CLIP_REPO in entry["path"]]
        assert case is CASES[0] or not asked, "CLIP's words lie on Drive since the first machine"
        world.hub.log.clear()
        seconds = f"{time.monotonic() - began:.1f} s"
        version = "v1.10.1" if case.version == A1111 else case.version
        kept_as = ", ".join(f"`{name}`" for name in where)
        left = "as it was" if same else "those settings set back"
        return f"| {version} | {case.title} | {made.total()} | {seconds} | {kept_as} | {left} |"


def wait_for(condition: object, seconds: float, page: object) -> None:
    """Wait while the page goes on drawing."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the web UI did not paint"
        page.wait_for_timeout(300)  # type: ignore[attr-defined]


def main() -> None:
    parser = places_asked(__doc__)
    parser.add_argument("--write", type=Path, help="the page that gets the table")
    options = parser.parse_args()
    options.home, options.upstreams = options.home.resolve(), options.upstreams.resolve()
    kept = options.home / "drive" / "asd1111" / "stable-diffusion-webui"
    kept.mkdir(parents=True, exist_ok=True)
    small = {"txt2img/Width": 64, "txt2img/Height": 64, "txt2img/Batch count": 2}  # the CPU is slow
    small |= {"customscript/sampler.py/txt2img/Sampling steps": 1}
    (kept / "ui-config.json").write_text(json.dumps({f"{name}/value": value for name, value in small.items()}))
    rows, failed = [], False
    with contextlib.closing(RealWorld(options.home / "outside", options.upstreams)) as world:
        for case in CASES:
            try:
                rows.append(one_case(world, case, options))
            except (AssertionError, TimeoutError) as error:
                failed = True
                rows.append(f"| {case.version} | {case.title} | | | {str(error)[-1500:]} | |")
            print(rows[-1], flush=True)
    head = "| settings of | its folders | images | on Drive after | kept in | config.json |"
    table = "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])
    print(table)
    if options.write and not failed:
        rewrite(options.write, MARK, f"{datetime.date.today()}, {os.cpu_count()} cores.\n\n{table}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
