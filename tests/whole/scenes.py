"""The scenes: everything that a person, Google's page and Google's machine may do while the launcher asks or waits.

Each is played on the real google.colab (`make colab COLABTOOLS=DIR`) and on the stand-in (`make test`); the launcher
cannot tell which. A scene returns the seconds for which its bound holds.
"""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from launcher.core.session import Session, request
from tests.whole.stage import Stage, telling, words
from tests.world import MODEL_LINK
from tests.world.kernel import cell_source
from tests.world.page import CONSENT, NOBODY, NOTEBOOK_TEXT, SCRIPT, SECRET, Reply
from tests.world.place import card, wait_ready
from tests.world.wait import wait as wait_for

Play = Callable[[Stage], float]
NO: Final = Reply(Exception("Error: credential propagation was unsuccessful"))
STOP: Final = 1.0  # seconds from ■ to the end of the cell
PANEL: Final = 1.0  # seconds from ▶ to the panel
MOUNTED: Final = 10.0  # seconds from ▶ to what comes of `drive.mount`, which takes its time
HEARD: Final = 2.0  # seconds from a button to what it does


@dataclass(frozen=True)
class Scene:
    """One scene. `bound` is in seconds. `make test` leaves out `long` ones, which wait for Google's own minutes, and
    those with which another one `begins`.
    """

    name: str
    play: Play
    bound: float
    group: str
    long: bool = False
    begins: bool = False


SCENES: list[Scene] = []


def scene(name: str, bound: float, group: str, *, long: bool = False, begins: bool = False) -> Callable[[Play], Play]:
    """Put a function into the table."""

    def put(play: Play) -> Play:
        SCENES.append(Scene(name, play, bound, group, long, begins))
        return play

    return put


# ---- Google Drive


@scene("▶ on a machine nobody has used: the panel, and what is waited for before Google asks", PANEL, "drive")
def first(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = Reply({}, 2.0)
    cell, seconds = stage.press()
    stage.until(lambda: kernel.page.asked_for(CONSENT), 20, "Google's question")
    stage.says("waiting for your permission: Google asks for it in the tab in which you pressed ▶", 1)
    stage.told()
    stage.says("My Drive/asd1111/stable-diffusion-webui")
    assert len(kernel.page.asked_for(CONSENT)) == 1
    assert kernel.outputs[cell], "the panel is still there after google.colab cleared the output"
    stage.stop(cell)
    return seconds


@scene("■ while Google asks for permission", STOP, "drive", begins=True)
def stop_in_consent(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = NOBODY
    cell, _ = stage.press()
    stage.until(lambda: kernel.page.asked_for(CONSENT), 20, "Google's question")
    seconds = stage.stop(cell)
    assert stage.shows("you stopped it. What to do: Press ▶ to be asked again"), stage.told()
    return seconds


@scene("▶ after ■ in Google's question", PANEL, "drive")
def again_after_consent(stage: Stage) -> float:
    stop_in_consent(stage)
    kernel = stage.kernel
    kernel.page.replies[CONSENT] = Reply({}, 0.5)
    cell, seconds = stage.press()
    stage.says("My Drive/asd1111/stable-diffusion-webui")
    stage.stop(cell)
    return seconds


@scene("■ while Google's program mounts Drive", STOP, "drive")
def stop_in_mount(stage: Stage) -> float:
    kernel = stage.fresh()
    stage.place.conduct(start_seconds=25.0)
    cell, _ = stage.press()
    stage.until(lambda: stage.world.manager.allowed, 20, "the permission")
    time.sleep(1.5)  # the program has begun
    seconds = stage.stop(cell)
    assert kernel.errors == []
    return seconds


@scene("Permission is refused", MOUNTED, "drive")
def denied(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = NO
    stage.press()
    seconds = stage.says("Google did not give this notebook your Drive.")
    stage.says("It stopped and needs your help")
    stage.until(lambda: not stage.shows("Leave this page open"), 2, "the foot to say what is")
    return seconds


@scene("Permission is given, and the mount does not come for 150 s", 200, "long drive", long=True)
def slow_mount(stage: Stage) -> float:
    stage.fresh()
    stage.place.conduct(start_seconds=1000.0)
    stage.press()
    seconds = stage.says("Google Drive took too long to connect", 250)
    assert not stage.shows("organization"), stage.told()
    return seconds


@scene("Nobody answers Google's question", 180, "long drive", long=True)
def never(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = NOBODY
    stage.press()
    seconds = stage.says("no answer to Google's question came in time", 250)
    assert not stage.shows("ValueError"), stage.told()
    return seconds


@scene("Nobody answers, and Google's program waits for ever", 320, "long drive", long=True)
def never_and_waits(stage: Stage) -> float:
    kernel = stage.fresh()
    stage.place.conduct(patience=1000.0)
    kernel.page.replies[CONSENT] = NOBODY
    stage.press()
    return stage.says("no answer to Google's question came in time", 330)


@scene("The answer comes after 130 s, too late; ▶ once more", 180, "long drive", long=True)
def late(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = Reply({}, 130.0)
    cell, _ = stage.press()
    seconds = stage.says("no answer to Google's question came in time", 250)
    stage.told()
    kernel.wait_done(cell, 10)
    stage.until(lambda: stage.world.manager.allowed, 60, "the late answer")
    kernel.page.replies[CONSENT] = Reply({})
    stage.press()
    stage.says("My Drive/asd1111/stable-diffusion-webui")
    return seconds


@scene("An organisation forbids Drive", MOUNTED, "drive")
def domain(stage: Stage) -> float:
    stage.fresh()
    stage.place.conduct(domain_forbids=True)
    stage.press()
    return stage.says("Your organization does not allow Google Drive in Colab.")


@scene("The first folder is not listed in time", MOUNTED, "drive")
def first_folder(stage: Stage) -> float:
    stage.fresh()
    stage.place.conduct(first_folder_hangs=True)
    stage.press()
    return stage.says("Google Drive took too long to list My Drive.")


@scene("Files lie in the place for Drive: they go beside it, and it is connected", MOUNTED, "drive")
def files_there(stage: Stage) -> float:
    stage.fresh()
    (stage.place.mountpoint / "mine").mkdir(parents=True, exist_ok=True)
    cell, _ = stage.press()
    seconds = stage.says("files were written to its place")
    stage.says("My Drive/asd1111/stable-diffusion-webui")
    (aside,) = stage.place.mountpoint.parent.glob(f"{stage.place.mountpoint.name} ?*/mine")
    stage.told()
    stage.stop(cell)
    shutil.rmtree(aside.parent)
    return seconds


@scene("The place for Drive is a link", MOUNTED, "drive")
def link_there(stage: Stage) -> float:
    stage.fresh()
    shutil.rmtree(stage.place.mountpoint, ignore_errors=True)
    stage.place.mountpoint.symlink_to("/tmp")
    stage.press()
    seconds = stage.says("is a link to another folder")
    stage.told()
    stage.place.mountpoint.unlink()
    return seconds


@scene("The first folder cannot be listed (Errno 5): one question, and the launch goes on", MOUNTED, "drive")
def big_folder(stage: Stage) -> float:
    kernel = stage.fresh()
    for number in range(40):
        (stage.place.drive / f"{number}.txt").touch()
    stage.place.manners(big_folder=30)
    cell, _ = stage.press()
    seconds = stage.says("My Drive/asd1111/stable-diffusion-webui")
    assert len(kernel.page.asked_for(CONSENT)) == 1
    stage.stop(cell)
    for number in range(40):
        (stage.place.drive / f"{number}.txt").unlink()
    return seconds


@scene("The person has mounted Drive at /content/gdrive: it is used, and nothing is asked", MOUNTED, "drive")
def mounted_elsewhere(stage: Stage) -> float:
    kernel = stage.fresh()
    elsewhere = stage.place.machine / "gdrive"
    kernel.run(f"from google.colab import drive\ndrive.mount({str(elsewhere)!r})", 30)
    cell, _ = stage.press()
    seconds = stage.says("My Drive/asd1111/stable-diffusion-webui")
    assert len(kernel.page.asked_for(CONSENT)) == 1, "the person's own"
    assert (elsewhere / "MyDrive" / "asd1111").is_dir()
    stage.stop(cell)
    return seconds


@scene("Nothing on Drive: no question is asked, and the panel says what that means", PANEL, "drive")
def nothing_on_drive(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = NOBODY
    cell, seconds = stage.press(keep_on_drive="nothing")
    stage.says("Nothing is kept on Google Drive, as you chose")
    wait_ready(kernel)
    assert not kernel.page.asked_for(CONSENT)
    assert stage.shows("Download my images")
    stage.told()
    stage.stop(cell)
    return seconds


# ---- tokens

GOOD: Final = "hf_good"
GIVEN: Final = {"exists": True, "access": True, "payload": GOOD}
TOKEN: Final = 10.0  # seconds from ▶ to what comes of a token


def launch_with_gate(stage: Stage) -> None:
    """A checkpoint that wants a token; nobody types one."""
    kernel = stage.fresh()
    stage.gate(GOOD)
    kernel.types = False


def model_there(stage: Stage, patience: float = 40.0) -> float:
    """Seconds until the checkpoint is there."""
    return stage.until(lambda: stage.shows("Checkpoint paint.safetensors"), patience, "the checkpoint")


@scene("The token is among Colab's secrets", TOKEN, "tokens")
def secret(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.secrets["HF_TOKEN"] = GOOD
    cell, _ = stage.press()
    seconds = model_there(stage)
    assert stage.kernel.asked == [], "nobody is asked"
    stage.stop(cell)
    return seconds


@scene("There is no such secret: the token is typed", TOKEN, "tokens")
def typed(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.types, stage.kernel.answer = True, GOOD
    cell, _ = stage.press()
    seconds = model_there(stage)
    (asked,) = stage.kernel.asked
    assert "world/paint is available only to people who have accepted its conditions. Paste your token" in asked
    stage.sentences[asked] = None
    stage.stop(cell)
    return seconds


@scene("This notebook may not read the secret: the token is typed", TOKEN, "tokens")
def no_access(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.replies[SECRET] = Reply({"exists": True, "access": False})
    stage.kernel.types, stage.kernel.answer = True, GOOD
    cell, _ = stage.press()
    seconds = model_there(stage)
    stage.stop(cell)
    return seconds


@scene("The page answers with an error: the token is typed", TOKEN, "tokens")
def secret_error(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.replies[SECRET] = Reply(Exception("boom"))
    stage.kernel.types, stage.kernel.answer = True, GOOD
    cell, _ = stage.press()
    seconds = model_there(stage)
    assert not stage.shows("Unexpected"), stage.told()
    stage.stop(cell)
    return seconds


@scene("Nobody answers whether the secret may be read: after Google's 10 s the token is typed", TOKEN + 12, "tokens")
def secret_silent(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.replies[SECRET] = NOBODY
    stage.kernel.types, stage.kernel.answer = True, GOOD
    cell, _ = stage.press()
    seconds = model_there(stage)
    stage.stop(cell)
    return seconds


@scene("The secret is allowed after 13 s, while the prompt for the token is open", TOKEN + 14, "tokens")
def secret_late(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.replies[SECRET] = Reply(GIVEN, 13.0)
    cell, _ = stage.press()
    stage.until(lambda: stage.kernel.asked, 40, "the prompt")
    stage.kernel.page.replies[SECRET] = Reply(GIVEN)
    seconds = model_there(stage)
    assert not stage.shows("Unexpected"), stage.told()
    stage.stop(cell)
    return seconds


@scene("■ while Colab asks whether the secret may be read", STOP, "tokens", begins=True)
def stop_in_secret(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.page.replies[SECRET] = NOBODY
    cell, _ = stage.press()
    stage.until(lambda: stage.kernel.page.asked_for(SECRET), 40, "the question")
    return stage.stop(cell)


@scene("▶ after ■ in the question for a secret", PANEL, "tokens")
def again_after_secret(stage: Stage) -> float:
    stop_in_secret(stage)
    stage.told()
    stage.kernel.page.replies[SECRET] = Reply(GIVEN)
    cell, seconds = stage.press()
    model_there(stage)
    stage.stop(cell)
    return seconds


@scene("■ in the hidden prompt for the token", STOP, "tokens")
def stop_in_prompt(stage: Stage) -> float:
    launch_with_gate(stage)
    cell, _ = stage.press()
    stage.until(lambda: stage.kernel.asked, 40, "the prompt")
    seconds = stage.stop(cell)
    stage.until(lambda: stage.shows("stopped"), 2, "what became of it")
    return seconds


@scene("Nothing is typed", TOKEN, "tokens")
def nothing_typed(stage: Stage) -> float:
    launch_with_gate(stage)
    stage.kernel.types = True
    stage.press()
    return stage.says("It stopped and needs your help", 40)


# ---- Colab's own link

OWN: Final = "Colab's own"
LINK: Final = 5.0  # seconds from ▶ to the link
PAGES_PATIENCE: Final = 15.0  # seconds the page has to name a link


@scene("Colab's own link", LINK, "link")
def own_link(stage: Stage) -> float:
    stage.fresh()
    cell, _ = stage.press(link=OWN)
    seconds = stage.until(lambda: "http://127.0.0.1:" in words(stage.kernel), 30, "the link")
    stage.stop(cell)
    return seconds


@scene("Colab's own link is refused", LINK, "link")
def own_link_refused(stage: Stage) -> float:
    stage.fresh()
    stage.kernel.page.replies[SCRIPT] = Reply(Exception("Error: accessAllowed is false"))
    stage.press(link=OWN)
    return stage.says("Colab gave no link of its own (MessageError: Error: accessAllowed is false).")


@scene("Nobody answers for Colab's own link", LINK + PAGES_PATIENCE, "link")
def own_link_silent(stage: Stage) -> float:
    stage.fresh()
    stage.kernel.page.replies[SCRIPT] = NOBODY
    stage.press(link=OWN)
    return stage.says("Colab gave no link of its own.")


@scene("■ while Colab's page looks for the link", STOP, "link", begins=True)
def stop_in_own_link(stage: Stage) -> float:
    stage.fresh()
    stage.kernel.page.replies[SCRIPT] = NOBODY
    cell, _ = stage.press(link=OWN)
    stage.until(lambda: stage.kernel.page.asked_for(SCRIPT), 20, "the question")
    return stage.stop(cell)


@scene("▶ after ■ in the question for Colab's own link", PANEL, "link")
def again_after_own_link(stage: Stage) -> float:
    stop_in_own_link(stage)
    stage.told()
    stage.kernel.page.replies[SCRIPT] = Reply("http://127.0.0.1:9/", 0.2)
    cell, seconds = stage.press(link=OWN)
    stage.says("http://127.0.0.1:9")
    stage.stop(cell)
    return seconds


@scene("Colab's own link answers its person only: for 75 s it is not opened again; ■", STOP, "long link", long=True)
def own_link_walled(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[SCRIPT] = Reply("http://127.0.0.1:9/")  # nobody answers there, as far as the machine sees
    cell, _ = stage.press(link=OWN)
    wait_ready(kernel)
    ready = re.findall(r"ready after [^·]+", words(kernel))[0]
    time.sleep(75)  # the link is looked after every 60 s
    assert len(kernel.page.asked_for(SCRIPT)) == 1
    assert ready in words(kernel), "and ready after changes not"
    assert not stage.shows("does not answer"), stage.told()
    return stage.stop(cell)


# ---- a web UI that runs

RESTART: Final = "Restart the web UI"
CONNECT: Final = "Connect Google Drive"


def buttons(stage: Stage) -> list[str]:
    """The buttons that may be pressed and ask for something: not those that only fold."""
    return [one for one in stage.kernel.buttons() if one[:1] not in ("▸", "▾")]


@scene("■ while the web UI runs", STOP, "running", begins=True)
def stop_running(stage: Stage) -> float:
    cell = stage.running()
    seconds = stage.stop(cell)
    stage.says("This cell stopped; the web UI is still running.", 2)
    assert stage.place.pid("webui")
    return seconds


@scene("▶ again: link and password are there", PANEL, "running")
def again_running(stage: Stage) -> float:
    stop_running(stage)
    before, pid = card(stage.kernel), stage.place.pid("webui")
    cell, seconds = stage.press()
    seconds += stage.until(lambda: card(stage.kernel)[0], 20, "the way in")
    assert card(stage.kernel)[1:] == before[1:]
    assert stage.place.pid("webui") == pid
    stage.stop(cell)
    return seconds


@scene("▶ with another field while the cell runs on", PANEL, "running")
def another_field(stage: Stage) -> float:
    cell = stage.running()
    stage.stop(cell)
    cell, seconds = stage.press(give_back_after=120)
    wait_ready(stage.kernel)
    stage.stop(cell)
    return seconds


@scene("Restart the web UI", HEARD, "running")
def restart(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.press_button(RESTART)
    at_work = "Web UI: "  # its first note may be gone after 0.1 s: the next one is as good
    seconds = stage.until(lambda: any(one.startswith(at_work) for one in telling(stage.kernel)), 20, "it to be heard")
    wait_ready(stage.kernel)
    stage.stop(cell)
    return seconds


@scene("Stop everything: the panel says what is", HEARD, "running")
def stop_everything(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.stop_everything()
    seconds = stage.until(lambda: not card(stage.kernel)[0], 30, "the way in to be gone")
    stage.kernel.wait_done(cell, 60)
    assert stage.shows("Everything is off"), stage.told()
    assert not stage.shows("Password"), stage.told()
    assert buttons(stage) == [], buttons(stage)
    return seconds


@scene("Drive drops, and nobody answers Google: ■", STOP, "running", begins=True)
def dropped_stop(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.page.replies[CONSENT] = NOBODY
    stage.place.drop_drive()
    stage.says("Google asks for your permission again, in the tab in which you pressed ▶")
    stage.until(lambda: len(stage.kernel.page.asked_for(CONSENT)) == 2, 20, "Google's question")
    stage.told()
    seconds = stage.stop(cell)
    return seconds


@scene("▶ then: Google is asked again, and what waited is on Drive", PANEL, "running")
def dropped_again(stage: Stage) -> float:
    dropped_stop(stage)
    image = stage.place.data / "outputs" / f"waited-{time.time():.0f}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(b"\x89PNG waits")
    stage.kernel.page.replies[CONSENT] = Reply({}, 0.5)
    cell, seconds = stage.press()
    stage.says("connected again at", 40)
    stage.until((stage.place.kept / "outputs" / image.name).exists, 30, "the image on Drive")
    stage.stop(cell)
    return seconds


@scene("Drive drops, Google is refused: the other buttons are heard", HEARD, "running")
def dropped_buttons(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.page.replies[CONSENT] = NO
    stage.place.drop_drive()
    stage.says("disconnected; new files wait on this machine until you press Connect Google Drive below", 40)
    stage.told()
    stage.kernel.press_button(RESTART)
    seconds = stage.says("it starts again once Google Drive is connected", 20)
    stage.told()
    stage.kernel.page.replies[CONSENT] = Reply({})
    stage.kernel.press_button(CONNECT)
    stage.says("connected again at", 30)
    wait_ready(stage.kernel)
    stage.stop(cell)
    return seconds


@scene("Drive is away, and Google was refused: the panel's clock goes on", HEARD, "running")
def clock(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.page.replies[CONSENT] = NO
    stage.place.drop_drive()
    stage.says("disconnected; new files wait on this machine until you press Connect Google Drive below", 40)
    seen, stood_still, last = "", 0.0, time.monotonic()
    end = last + 8
    while time.monotonic() < end:
        shown = "".join(re.findall(r'class="oneclick head"><span>(.*?)</span>', stage.kernel.html()))
        if shown != seen:
            stood_still, last, seen = max(stood_still, time.monotonic() - last), time.monotonic(), shown
        time.sleep(0.02)
    stage.stop(cell)
    return max(stood_still, end - last)


@scene("A second tab presses ▶: it shows the same, and Google's question comes to it", PANEL, "running")
def second_tab(stage: Stage) -> float:
    cell = stage.running()
    stage.stop(cell)
    tab = stage.kernel.another_tab()
    cell, seconds = stage.press(tab=tab)
    tab.wait(lambda: "Open the web UI" in tab.html(), 20, "the way in")
    stage.place.drop_drive()
    tab.wait(lambda: tab.page.asked_for(CONSENT), 30, "Google's question")
    assert tab.page.asked_for(CONSENT)[-1].mine
    tab.wait(lambda: "connected again at" in words(tab), 30, "Drive")
    stage.kernel.interrupt()
    tab.wait_done(cell, 30)
    tab.close()
    return seconds


@scene("The tab that pressed ▶ is closed, and Drive drops: the panel says which tab must answer; ■", STOP, "running")
def closed_tab(stage: Stage) -> float:
    cell = stage.running()
    stage.kernel.page.replies = {}  # the tab is closed: its page answers nothing
    stage.place.drop_drive()
    stage.says("Google asks for your permission again, in the tab in which you pressed ▶", 40)
    stage.until(lambda: len(stage.kernel.page.asked_for(CONSENT)) == 2, 20, "Google's question")
    return stage.stop(cell)


def noticed(stage: Stage, pid: int) -> bool:
    """Was that web UI's end noticed?"""
    return stage.place.pid("webui") != pid or stage.shows("It stopped")


@scene("The web UI crashes four times: the panel says so, and ▶ starts it", 20, "crashes")
def crashes(stage: Stage) -> float:
    cell = stage.running()
    for _ in range(4):
        stage.until(lambda: stage.shows("Web UI running"), 60, "the web UI")
        pid = stage.kill("webui")
        wait_for(partial(noticed, stage, pid), 60, "the service to notice")
        stage.told()
    stage.says("It stopped and needs your help", 60)
    stage.until(lambda: not stage.shows("Password") and not stage.shows("keeps running"), 3, "the way in to be gone")
    stage.kernel.wait_done(cell, 30)
    cell, _ = stage.press()
    seconds = stage.until(lambda: card(stage.kernel)[0], 60, "the way in")
    stage.stop(cell)
    return seconds


# ---- several cells


@scene("Run all: the other cells and Stop do nothing", PANEL, "cells")
def run_all(stage: Stage) -> float:
    kernel = stage.fresh()
    others = ("add-model", "add-controlnet", "add-extension", "stop")
    kernel.widgets.clear()
    began = time.monotonic()
    first_cell = kernel.start(cell_source("launch", checkpoint=MODEL_LINK, link="none"))
    cells = [kernel.start(cell_source(name), run_all=True) for name in others]
    kernel.wait(lambda: "oneclick head" in kernel.html(), 30, "the panel")
    seconds = time.monotonic() - began
    wait_ready(kernel)
    stage.stop(first_cell)
    for cell in cells:
        kernel.wait_done(cell, 30)
    told = "Run all also started this cell, so it did nothing."
    kernel.wait(lambda: kernel.text.count(told) == 4, 5, "all four to say so")  # ipykernel sends what is printed later
    assert kernel.html().count("oneclick head") == 1
    assert stage.place.pid("webui")
    assert kernel.errors == []
    return seconds


@scene("An extra cell before ▶: the fields come from the page", PANEL, "cells")
def extra_first(stage: Stage) -> float:
    kernel = stage.fresh()
    cell, seconds = stage.press("add-extension", action="list")
    kernel.wait_done(cell, 30)
    assert kernel.errors == [], kernel.errors
    assert kernel.page.asked_for(NOTEBOOK_TEXT)
    return seconds


@scene("An extra cell before ▶, and the page does not answer: the panel, and then the defaults", PANEL, "cells")
def extra_first_silent(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[NOTEBOOK_TEXT] = NOBODY
    cell, seconds = stage.press("add-extension", action="list")
    kernel.wait_done(cell, 30)
    assert kernel.errors == [], kernel.errors
    assert stage.place.kept.is_dir(), "the defaults' folder"
    return seconds


@scene("■ while the page is asked for the first cell's fields", STOP, "cells")
def stop_in_fields(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[NOTEBOOK_TEXT] = NOBODY
    cell, _ = stage.press("add-extension", action="list")
    stage.until(lambda: kernel.page.asked_for(NOTEBOOK_TEXT), 20, "the question")
    seconds = stage.stop(cell)
    assert kernel.errors == [], kernel.errors
    return seconds


@scene("An extra cell on a machine that has no launcher yet, and the page does not answer: ■", STOP, "cells")
def stop_in_unpacking(stage: Stage) -> float:
    kernel = stage.fresh()
    shutil.rmtree(stage.place.machine / "oneclick" / "program")
    kernel.page.replies[NOTEBOOK_TEXT] = NOBODY
    kernel.text = ""
    cell = kernel.start(cell_source("add-extension", action="list"))
    stage.says("Asking Colab for the launcher, which this machine does not have yet.", 20)
    seconds = stage.stop(cell)
    assert stage.shows("Press ▶ on the first cell once, then press ▶ here again."), stage.told()
    assert kernel.errors == [], kernel.errors
    return seconds


@scene("Stop where nothing runs", MOUNTED, "cells")
def stop_nothing(stage: Stage) -> float:
    kernel = stage.fresh()
    began = time.monotonic()
    cell, _ = stage.press("stop")
    kernel.wait_done(cell, 30)
    assert stage.shows("off"), stage.told()
    return time.monotonic() - began


# ---- giving the machine back

GIVEN_BACK: Final = 15.0  # seconds from ▶ to the end of the cell


def posted_after_push(stage: Stage) -> None:
    """Exactly one POST, after a push that ended well."""
    assert stage.world.manager.asked == 1
    done = [when for when, what in stage.place.pushes if what == "push done"]
    assert done and stage.world.manager.asked_at[0] >= max(done), (stage.place.pushes, stage.world.manager.asked_at)


def stop_cell(stage: Stage, **fields: Any) -> float:
    """▶ on Stop, until it ends."""
    time.sleep(1.1)  # else it was sent together with ▶
    began = time.monotonic()
    cell, _ = stage.press("stop", **fields)
    stage.kernel.wait_done(cell, 90)
    return time.monotonic() - began


@scene("Stop with give back: Google has everything, then one POST", GIVEN_BACK, "back")
def give_back(stage: Stage) -> float:
    stage.stop(stage.running())
    seconds = stop_cell(stage, give_back_the_machine=True)
    posted_after_push(stage)
    assert stage.shows("the machine was given back") and "still yours" not in stage.told(), stage.told()
    return seconds


@scene("Stop with give back where nothing ran", GIVEN_BACK, "back")
def give_back_fresh(stage: Stage) -> float:
    stage.fresh()
    seconds = stop_cell(stage, give_back_the_machine=True)
    assert stage.world.manager.asked == 1
    assert stage.shows("the machine was given back"), stage.told()
    return seconds


@scene("Stop, then Stop with give back", GIVEN_BACK, "back")
def give_back_second(stage: Stage) -> float:
    stage.stop(stage.running())
    stop_cell(stage)
    stage.told()
    assert stage.world.manager.asked == 0
    seconds = stop_cell(stage, give_back_the_machine=True)
    posted_after_push(stage)
    return seconds


@scene("Google does not take everything: no POST, and a sentence", GIVEN_BACK, "back", begins=True)
def flush_fails(stage: Stage) -> float:
    stage.stop(stage.running())
    stage.place.conduct(flush_fails=True)
    seconds = stop_cell(stage, give_back_the_machine=True)
    assert stage.shows("Not everything is on Google Drive yet: an upload failed."), stage.told()
    assert stage.world.manager.asked == 0
    return seconds


@scene("Stop with give back again, and now it does: one POST", GIVEN_BACK, "back")
def flush_mended(stage: Stage) -> float:
    flush_fails(stage)
    stage.place.conduct()
    seconds = stop_cell(stage, give_back_the_machine=True)
    posted_after_push(stage)
    return seconds


@scene("Colab does not take the machine back: a sentence says how to do it by hand", GIVEN_BACK, "back")
def unassign_fails(stage: Stage) -> float:
    stage.stop(stage.running())
    stage.world.manager.status = 500
    seconds = stop_cell(stage, give_back_the_machine=True)
    assert stage.shows("Colab did not take the machine back (HTTPError). What to do: To stop it, choose Runtime"), (
        stage.told()
    )
    return seconds


@scene("■ while Google takes what is on its way: the push goes on, then one POST, as the panel says", STOP, "back")
def stop_in_flush(stage: Stage) -> float:
    stage.stop(stage.running())
    stage.place.conduct(flush_seconds=6.0)
    time.sleep(1.1)
    cell, _ = stage.press("stop", give_back_the_machine=True)
    stage.until(lambda: stage.place.pushes, 60, "the push")
    stage.says("waiting until Google Drive has everything", 5)
    seconds = stage.stop(cell)
    assert not stage.shows("still running"), stage.told()
    stage.until(lambda: len(stage.place.pushes) == 2, 30, "the push to end")
    stage.until(lambda: stage.world.manager.asked, 20, "the machine to be given back")
    posted_after_push(stage)
    return seconds


@scene("give_back_after, with the notebook stopped: Google has everything, then one POST", 30, "back")
def give_back_after(stage: Stage) -> float:
    stage.stop(stage.running(give_back_after=1))
    began = time.monotonic()
    stage.place.say_used(600)
    stage.until(lambda: stage.world.manager.asked, 60, "the POST")
    seconds = time.monotonic() - began
    time.sleep(2)
    posted_after_push(stage)
    return seconds


@scene("give_back_after, and Google does not take everything: no POST; ▶ says so", 10, "back")
def give_back_after_fails(stage: Stage) -> float:
    cell = stage.running(give_back_after=1)
    stage.says("The machine is given back at", 90)
    stage.place.conduct(flush_fails=True)
    stage.place.say_used(600)
    seconds = stage.says("Not everything is on Google Drive yet: an upload failed.", 60)
    stage.kernel.wait_done(cell, 30)
    assert stage.world.manager.asked == 0
    return seconds


# ---- kernels and services that die


@scene("SIGKILL for the kernel while images are made: 50 of 50 on Drive, the web UI killed meanwhile is back, "
       "the machine is given back", 120, "killed")  # fmt: skip
def kernel_killed(stage: Stage) -> float:
    stage.running(give_back_after=1)
    name = f"fifty-{time.time():.0f}"
    made, kept = stage.place.data / "outputs" / name, stage.place.kept / "outputs" / name
    made.mkdir(parents=True)
    began = time.monotonic()
    for number in range(50):
        (made / f"{number:05}.png").write_bytes(b"\x89PNG" + bytes([number]) * 20_000)
        time.sleep(0.05)
        if number == 20:
            stage.kernel.kill()
        if number == 30:
            webui = stage.kill("webui")
    wait_for(lambda: len(list(kept.glob("*.png"))) == 50, 60, "50 of 50 on Drive")
    assert all((kept / f"{n:05}.png").read_bytes() == b"\x89PNG" + bytes([n]) * 20_000 for n in range(50))
    wait_for(lambda: stage.place.pid("webui") not in (0, webui), 60, "the web UI to be back")
    stage.place.say_used(600)
    wait_for(lambda: stage.world.manager.asked, 90, "the machine to be given back")
    seconds = time.monotonic() - began
    time.sleep(2)
    posted_after_push(stage)
    return seconds


def answers(stage: Stage) -> bool:
    """Does somebody listen where notebooks ask the service?"""
    try:
        request(Session(stage.place.session).notebook_socket, "GET", "/link")
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    return True


def another_service(stage: Stage, pid: int) -> bool:
    """Is there one in the place of that one?"""
    return stage.place.pid("service") not in (0, pid) and answers(stage)


@scene("SIGKILL for the service: the open panel has a new one, and the web UI runs on", 3, "killed")
def service_killed(stage: Stage) -> float:
    cell = stage.running()
    webui, before = stage.place.pid("webui"), card(stage.kernel)
    service = stage.kill("service")
    seconds = stage.until(partial(another_service, stage, service), 30, "a new service")
    stage.until(lambda: card(stage.kernel)[1:] == before[1:] and stage.shows("ready"), 30, "the way in")
    assert stage.place.pid("webui") == webui
    image = stage.place.data / "outputs" / f"after-{time.time():.0f}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(b"\x89PNG after")
    stage.until((stage.place.kept / "outputs" / image.name).exists, 30, "an image to be kept by the new service")
    stage.stop(cell)
    return seconds


@scene("SIGKILL for the service without a panel: the next ▶ finds all", PANEL, "killed")
def service_killed_alone(stage: Stage) -> float:
    cell = stage.running()
    before, webui = card(stage.kernel), stage.place.pid("webui")
    stage.stop(cell)
    stage.kill("service")
    cell, seconds = stage.press()
    stage.until(lambda: card(stage.kernel)[1:] == before[1:], 30, "the way in")
    assert stage.place.pid("webui") == webui
    stage.stop(cell)
    return seconds


# ---- ■ and ▶ in every step


def stop_in_step(stage: Stage, begun: Callable[[], object], again: bool, **fields: Any) -> float:
    """■ once a step has begun; or ▶ after it."""
    cell, _ = stage.press(**fields)
    stage.until(begun, 60, "the step")
    seconds = stage.stop(cell)
    assert stage.kernel.errors == []
    stage.told()
    if again:
        cell, seconds = stage.press(**fields)
        stage.stop(cell)
    return seconds


def step_scene(what: str, prepare: Callable[[Stage], None], begun: Callable[[Stage], bool], **fields: Any) -> None:
    """■ in that step, and ▶ after it."""
    for sign, bound, again in (("■", STOP, False), ("▶ after ■", PANEL, True)):

        def play(stage: Stage, again: bool = again) -> float:
            stage.fresh()
            prepare(stage)
            return stop_in_step(stage, lambda: begun(stage), again, **fields)

        scene(f"{sign} while {what}", bound, "steps", begins=not again)(play)


def slow_git(stage: Stage) -> None:
    for path in (stage.place.kept / ".source", stage.place.machine / "oneclick" / "history"):
        shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(stage.place.machine / "oneclick" / "stable-diffusion-webui", ignore_errors=True)
    stage.world.git.delay = 3.0


def slow_hub(stage: Stage) -> None:
    shutil.rmtree(stage.place.kept / "models", ignore_errors=True)
    stage.world.hub.rate = 200_000


def nothing(stage: Stage) -> None:
    """As it is."""


def running_step(stage: Stage, title: str) -> bool:
    """Is that step at work?"""
    return any(one.startswith(f"{title}: ") for one in stage.told().split(" · "))


step_scene("the source is fetched", slow_git, lambda stage: running_step(stage, "AUTOMATIC1111's source"))
step_scene("the checkpoint is downloaded", slow_hub, lambda stage: stage.shows("MB of"))
step_scene("the web UI starts", nothing, lambda stage: bool(stage.place.pid("webui")))
