"""The scenes: everything that a person, Google's page and Google's machine may do while the launcher asks or waits.

Each is played on the real google.colab (`make colab COLABTOOLS=DIR`) and on the stand-in (`make test`); the launcher
cannot tell which. A scene returns the seconds for which its bound holds.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.colab.stage import Stage
from tests.world.page import CONSENT, NOBODY, Reply
from tests.world.place import wait_ready

Play = Callable[[Stage], float]
NO: Final = Reply(Exception("Error: credential propagation was unsuccessful"))
STOP: Final = 1.0  # seconds from ■ to the end of the cell
PANEL: Final = 1.0  # seconds from ▶ to the panel
MOUNTED: Final = 10.0  # seconds from ▶ to what comes of `drive.mount`, which takes its time
HEARD: Final = 2.0  # seconds from a button to what it does


@dataclass(frozen=True)
class Scene:
    """One scene. `bound` is in seconds; `long` ones wait for Google's own minutes, and `make test` leaves them out."""

    name: str
    play: Play
    bound: float
    group: str
    long: bool = False


SCENES: list[Scene] = []


def scene(name: str, bound: float, group: str, long: bool = False) -> Callable[[Play], Play]:
    """Put a function into the table."""

    def put(play: Play) -> Play:
        SCENES.append(Scene(name, play, bound, group, long))
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


@scene("■ while Google asks for permission", STOP, "drive")
def stop_in_consent(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = NOBODY
    cell, _ = stage.press()
    stage.until(lambda: kernel.page.asked_for(CONSENT), 20, "Google's question")
    seconds = stage.stop(cell)
    assert stage.shows("you stopped it. What to do: Press ▶ to be asked again"), stage.told()
    return seconds


@scene("▶ after that", PANEL, "drive")
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
    seconds = stage.says("Google Drive was not allowed.")
    stage.says("It stopped: something needs you")
    stage.until(lambda: not stage.shows("You can leave this page open"), 2, "the foot to say what is")
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
    seconds = stage.says("nobody answered Google's question in time", 250)
    assert not stage.shows("ValueError"), stage.told()
    return seconds


@scene("Nobody answers, and Google's program waits for ever", 320, "long drive", long=True)
def never_and_waits(stage: Stage) -> float:
    kernel = stage.fresh()
    stage.place.conduct(patience=1000.0)
    kernel.page.replies[CONSENT] = NOBODY
    stage.press()
    return stage.says("nobody answered Google's question in time", 330)


@scene("The answer comes after 130 s, too late; ▶ once more", 180, "long drive", long=True)
def late(stage: Stage) -> float:
    kernel = stage.fresh()
    kernel.page.replies[CONSENT] = Reply({}, 130.0)
    cell, _ = stage.press()
    seconds = stage.says("nobody answered Google's question in time", 250)
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
    return stage.says("Google Drive did not list its first folder in time.")


@scene("The place for Drive has files in it, then is a link", MOUNTED, "drive")
def files_there(stage: Stage) -> float:
    kernel = stage.fresh()
    mine = stage.place.mountpoint / "mine"
    mine.mkdir(parents=True, exist_ok=True)
    cell, _ = stage.press()
    seconds = stage.says("already has files in it")
    stage.told()
    kernel.wait_done(cell, 10)
    shutil.rmtree(stage.place.mountpoint)
    stage.place.mountpoint.symlink_to("/tmp")
    stage.press()
    stage.says("is a link, so Drive cannot be connected there")
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
