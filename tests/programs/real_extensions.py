"""`make real-extensions UPSTREAMS=DIR`: the most used extensions on the real AUTOMATIC1111, added by the cells.

Each is added from a bare repository DIR/OWNER/NAME.git, installed at one restart, and then used through the door: an
API of it answers, or an image is made with its script. A second launch shows that nothing is installed again. Weights
of their own cannot be had here and make some answers errors, which are quoted. Writes docs/extensions.md.
"""

import argparse
import contextlib
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from launcher.core.session import Session, request
from tests.programs.extension_proofs import USES, Door, expect
from tests.programs.real import (
    REAL_LINK,
    RealWorld,
    kernel_of,
    press_restart,
    share,
    started,
    upstream,
    way_in,
    whole_commit,
)
from tests.world.browser import chromium, log_in
from tests.world.githost import git
from tests.world.kernel import Kernel, cell_source

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "extensions.md"
BEGIN, END = "<!-- table: made by `make real-extensions` -->", "<!-- end of the table -->"
KEPT: Final = Path("drive", "asd1111", "stable-diffusion-webui")
NOT_SHOWN: Final = "**A1111's own list does not show them**"


def shown_by_a1111(door: Door, rows: list["Row"], shot: Path) -> list[str]:
    """What A1111 itself says of them: by its API, and in its own tab. Raises `NotUsed` where one is missing there."""
    listed = {one["name"]: one for one in door.get("/sdapi/v1/extensions")}
    door.open_tab("Extensions")
    lines = door.page.locator("#extensions tbody tr")
    lines.first.wait_for(timeout=120_000)
    shown = {cells[0].strip(): cells for cells in (line.locator("td").all_inner_texts() for line in lines.all())}
    door.page.screenshot(path=str(shot), full_page=True)
    for row in rows:
        known, cells = listed.get(row.name), shown.get(row.name, [])
        expect(known and known["version"] and known["branch"], f"/sdapi/v1/extensions has of {row.name}: {known}")
        expect(
            len(cells) > 4 and cells[2].strip() and re.fullmatch(r"[0-9a-f]{8}", cells[3].strip()) and cells[4].strip(),
            f"A1111's tab shows of {row.name}: {cells}",
        )
    first = [cell.strip() for cell in shown[rows[0].name]]
    return [
        f"`/sdapi/v1/extensions` through the link lists {len(listed)} extensions, and each of these {len(rows)} with "
        "branch and version.",
        f"A1111's own tab Extensions → Installed shows each of them with branch, version and date; the first: "
        f"{first[0]}, {first[2]}, {first[3]}, {first[4]}.",
    ]


@dataclass
class Row:
    """One extension: where it is, how it is used; what came of it."""

    repository: str
    added: str = ""
    has_installer: bool = False
    installer: float = 0.0  # seconds
    notice: str = ""
    used: str = ""
    failed: bool = False

    @property
    def name(self) -> str:
        return self.repository.partition("/")[2]


# The copy of sd-dynamic-prompts that is to be had here is older than its mending for A1111 1.9 (adieyal/sd-dynamic-
# prompts#754: its settings have no values on a fresh installation). These are the values it would give them.
DYNAMIC_PROMPTS: Final = {
    **dict.fromkeys(
        ("dp_ignore_whitespace", "dp_write_raw_template", "dp_write_prompts_to_file", "dp_limit_jinja_prompts",
         "dp_auto_purge_cache", "dp_wildcard_manager_no_dedupe", "dp_wildcard_manager_no_sort",
         "dp_wildcard_manager_shuffle"),
        False,
    ),
    "dp_parser_variant_start": "{", "dp_parser_variant_end": "}", "dp_parser_wildcard_wrap": "__",
    "dp_magicprompt_default_model": "", "dp_magicprompt_batch_size": 1,
}  # fmt: skip


def save_settings(kernel: Kernel, machine: Path) -> None:
    """Have A1111 write the folders of its images into its settings, as its button **Apply settings** does, and those of
    dynamic prompts beside. Until then A1111 keeps no setting that nobody changed.
    """
    url, password = way_in(kernel)
    address, auth = f"{url}/sdapi/v1/options", ("user", password)
    options = requests.get(address, auth=auth, timeout=60).json()
    folders = {name: value for name, value in options.items() if name.startswith("outdir_") and value}
    requests.post(address, json=folders, auth=auth, timeout=60).raise_for_status()
    path = machine / "data" / "asd1111" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | DYNAMIC_PROMPTS))


@dataclass
class Watch:
    """Reads the status as the door gets it, and whether the web UI answers."""

    session: Path
    installing: dict[str, float] = field(default_factory=dict)  # extension -> seconds
    silent: float = 0.0  # seconds in which the web UI did not answer
    notices: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        last = time.monotonic()
        while not self.over.wait(0.25):
            now = time.monotonic()
            passed, last = now - last, now
            with contextlib.suppress(OSError, ValueError):
                status = request(Session(self.session).page_socket, "GET", "/status")[1]
                self.notices |= set(status["notices"])
                found = re.search(r"installing ([\w.-]+)", " ".join(step["note"] for step in status["steps"]))
                if found:
                    self.installing[found[1]] = self.installing.get(found[1], 0.0) + passed
                port = Session(self.session).webui.port  # none while the web UI itself starts
                self.silent += 0.0 if port and answers(port) else passed


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/internal/ping", timeout=10).ok
    except requests.RequestException:
        return False


def use_all(kernel: Kernel, rows: list[Row], home: Path) -> list[str]:
    """Log in as a person does and use each; what A1111 itself says of them."""
    url, password = way_in(kernel)
    with chromium(viewport={"width": 1400, "height": 1000}) as browser:
        page = browser.new_page()
        log_in(page, url, password)
        page.locator("#txt2img_prompt textarea").first.wait_for(timeout=240_000)
        door = Door(url, password, page, home / "machine")
        for row in rows:
            try:
                row.used = USES[row.repository](door)
            except Exception as error:  # whatever goes wrong stands in the table, and fails the command
                row.used, row.failed = f"**not used**: {type(error).__name__}: {str(error)[:200]}", True
            print(f"{row.name}: installer {row.installer:.0f} s; {row.notice} {row.used}", flush=True)
        try:
            return shown_by_a1111(door, rows, home / "extensions-tab.png")
        except Exception as error:
            return [f"{NOT_SHOWN}: {type(error).__name__}: {str(error)[:300]}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstreams", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names: try these, and write nothing")
    parser.add_argument("--python", default=str(ROOT / ".venv-colab" / "bin" / "python"))
    options = parser.parse_args()
    home = options.home.resolve()
    kept, session = home / KEPT, home / "machine" / "session"
    kept.mkdir(parents=True, exist_ok=True)
    weights = kept / "models" / "insightface" / "inswapper_128.onnx"  # else ReActor's installer ends early
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"a stand-in")
    rows = [row for row in map(Row, USES) if not options.only or row.name in options.only]
    with contextlib.closing(RealWorld(home / "outside", options.upstreams.resolve())) as world:
        for row in rows:
            original = upstream(options.upstreams, row.repository)
            share(
                original,
                world.git.root / f"{row.repository}.git",
                whole_commit(original, git("rev-parse", "HEAD", at=original)),
            )
        summary = both_launches(options.python, world, home, rows, session)
    if not options.only:
        PAGE.write_text(page_with(PAGE.read_text(), table(rows, summary)))
    failed = [row.name for row in rows if row.failed or row.added != "yes"]
    failed += [line for line in summary if NOT_SHOWN in line]
    sys.exit(f"not used: {', '.join(failed)}" if failed else 0)


def both_launches(python: str, world: RealWorld, home: Path, rows: list[Row], session: Path) -> list[str]:
    """Add, restart, use; then everything again on the same machine. Returns what is to be said below the table."""
    watch = Watch(session)
    with kernel_of(world, home, python) as kernel:
        first = started(kernel, 1800, checkpoint=REAL_LINK)
        save_settings(kernel, session.parent)
        kernel.interrupt()
        kernel.wait_done(first, 60)
        for row in rows:
            said = len(kernel.text)
            kernel.run(cell_source("add-extension", what=f"https://github.com/{row.repository}"), 300)
            lines = kernel.text[said:]
            row.added = "yes" if "added" in lines else "no: " + lines.strip()[:200]
            print(row.name, row.added, flush=True)
        threading.Thread(target=watch.run, daemon=True).start()
        began = time.monotonic()
        press_restart(session, 1800)
        restart = time.monotonic() - began
        watch.over.set()
        for row in rows:
            row.has_installer = (session.parent / "data" / "asd1111" / "extensions" / row.name / "install.py").exists()
            row.installer = watch.installing.get(row.name, 0.0)
            about = (text for text in watch.notices if re.search(rf"(?<![\w-]){row.name}(?![\w-])(?!: version)", text))
            row.notice = " ".join(sorted(about))
        said_by_a1111 = use_all(kernel, rows, home)
        kernel.run(cell_source("stop"), 120)
        again = Watch(session)
        threading.Thread(target=again.run, daemon=True).start()
        began = time.monotonic()
        started(kernel, 1800, checkpoint=REAL_LINK)
        next_start = time.monotonic() - began
        again.over.set()
        return [
            *said_by_a1111,
            f"The restart with all of them took {restart:.0f} s; the web UI did not answer for {watch.silent:.0f} s "
            f"of it. The next start took {next_start:.0f} s and ran {len(again.installing)} installers.",
        ]


def table(rows: list[Row], summary: list[str]) -> str:
    lines = [
        "| extension | added | installer | used through the link | what the panel said |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        installer = f"{row.installer:.0f} s" if row.has_installer else "has none"
        cells = (
            f"[{row.name}](https://github.com/{row.repository})",
            row.added,
            installer,
            row.used,
            row.notice or "-",
        )
        lines.append("| " + " | ".join(re.sub(r"\s+", " ", text).replace("|", "\\|") for text in cells) + " |")
    return "\n".join([*lines, "", *summary])


def page_with(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    main()
