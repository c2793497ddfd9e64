"""How a launch ends: let go of for the next one, stopped with all its files saved, or with the machine given back."""

import threading
from collections.abc import Callable
from typing import Final

from launcher.colab.machine import release_machine
from launcher.core.problem import NEW_MACHINE, Problem
from launcher.core.status import State, Step
from launcher.drive.mount import connect_drive, flush_drive
from launcher.launch.launch import Ask, Launch

GIVEN_BACK: Final = "The machine was given back"
LAST_START: Final = 60.0  # seconds in which a start that is underway has come to an end

START_AGAIN: Final = "Press ▶ on the first cell to start again."
STILL_YOURS: Final = (
    f"{START_AGAIN} The machine is still yours, and may use compute units until you choose "
    "**Runtime → Disconnect and delete runtime** in Colab's menu."
)


def let_go(launch: Launch, *, keep_sync: bool = False) -> None:
    """End its story; the web UI, the proxy and the link stay. Waits until nothing of it is at work any more."""
    launch.finish()
    if launch.thread:
        launch.thread.join()
    if not keep_sync:
        launch.sync.stop()


def end_web_ui(launch: Launch) -> None:
    """End the web UI and keep its last files; the proxy and the link stay."""
    launch.finish()
    with launch.steps.beside("ending the web UI"):  # where the disk is full it ends all the same
        launch.session.lead_to(port=0)
    launch.webui.stop()
    if launch.thread and launch.thread is not threading.current_thread():
        launch.thread.join(LAST_START)  # it may just be starting it again
        launch.webui.stop()
    launch.sync.stop()


def end_the_one_before(before: Launch, launch: Launch, anew: bool) -> None:
    """Let go of it, or end its web UI, whose last files are kept; then there is nothing of it to be seen."""
    launch.status.show(foot="Waiting for the previous launch to finish.")
    if anew:
        end_web_ui(before)
        with launch.steps.beside("saving the last files"):
            save_last_files(before, before.ask, launch.status.notice)
    else:
        let_go(before, keep_sync=before.sync is launch.sync)
    launch.status.clear(State.STARTING)
    if before.sync.waiting and before.sync is not launch.sync:
        launch.status.notice(
            f"{before.sync.waiting} files of the folder {before.settings.drive_folder} are not on Google Drive yet. "
            "They are still on this machine: press ▶ with that folder again, and they are saved."
        )


def save_last_files(launch: Launch, ask: Ask, say: Callable[[str], object]) -> None:
    """Where Drive was away: connect it once more. Raises `Problem`."""
    if launch.sync.waiting:
        connect_drive(launch.machine, ask, say)
        launch.sync.stop()


def end_everything(launch: Launch) -> None:
    """End the web UI, keep its last files, then end the link and the proxy. The faces show what is."""
    status = launch.status
    status.show(state=State.STOPPING, login_box=None, buttons=(), foot=START_AGAIN)
    rows = [launch.steps.of(row.name) for row in status.now.steps if row.name in ("webui", "link")]
    for step in rows:
        step.begin("ending")
    end_web_ui(launch)
    launch.public_link.close()
    for step in rows:
        step.reset("off")
    launch.note_end()


def be_off(launch: Launch, title: str = "Everything is off", foot: str | None = None) -> None:
    """Everything has ended: say so; the cells end. A machine that Colab lends may cost something all the same."""
    foot = foot or (STILL_YOURS if launch.machine.colab else START_AGAIN)
    launch.status.show(state=State.OFF, title=title, foot=foot)


def give_back(launch: Launch) -> None:
    """Flush Drive and give the machine back; raises `Problem`, and then nothing is given back."""
    if launch.sync.unkept:
        do = "Press ▶ on the first cell to connect Drive again."
        if not launch.sync.waiting:  # Drive is there, and does not take them
            do = f"Download them if you need them (Files on the left, {launch.folder.data}), then {NEW_MACHINE}."
        what = f"Not everything is on Google Drive: {launch.sync.summary()}."
        raise Problem(what, f"The machine was not given back, and your files are still on it. {do}")
    flush_drive(launch.machine)
    release_machine(launch.machine)


def give_back_unused(launch: Launch) -> None:
    """Nobody uses the machine: end everything, have Google take what is on its way, and give the machine back."""
    why = "Nobody used the web UI for as long as you chose with **give_back_after**, so the machine is given back."
    launch.status.notice(f"{why} Press ▶ to start again.", about=GIVEN_BACK)  # now: the notebook's kernel goes with it
    end_everything(launch)
    title, foot = "Everything is off, but the machine was not given back", None
    with launch.steps.beside("giving the machine back"):
        give_back(launch)
        title, foot = GIVEN_BACK, START_AGAIN
    if title != GIVEN_BACK:
        launch.status.notice(None, about=GIVEN_BACK)
    be_off(launch, title, foot)


def stop_launch(launch: Launch, ask: Ask, step: Step, give_back_the_machine: bool) -> None:
    """What **Stop** does, told on a step. Raises `Problem` for files that could not be saved.

    It is off only once the machine is given back: what is begun before would go with it.
    """
    end: tuple[str, ...] = ()
    with launch.stopping:  # one stop after the other
        try:
            if not launch.settled:  # another service ended what ran, or died: what is left belongs in its folder
                launch.take_place_noted()
            end_everything(launch)
            if launch.sync.waiting and not launch.sync.hangs:
                step.say("Google is asking for your permission in this tab, so that the last files can be saved")
            save_last_files(launch, ask, step.notice)
            if launch.sync.waiting:
                do = "Free some space on Google Drive, or connect it,"
                if launch.sync.hangs:
                    do = "Google Drive does not answer. Wait a few minutes"
                raise Problem(
                    f"The web UI and its link are off, but {launch.sync.waiting} files could not be saved on Google "
                    f"Drive: {launch.sync.summary()}.",
                    f"They are still on this machine. {do} and press ▶ here again; or download them (Files on the "
                    f"left, {launch.folder.data}), then {NEW_MACHINE}.",
                )
            done = f"the web UI and its link are off; {launch.sync.summary()}"
            if give_back_the_machine:
                step.say(
                    "waiting until Google Drive has everything; then the machine is given back, even if you press ■"
                )
                give_back(launch)
                done, end = "everything is off, and the machine was given back", (GIVEN_BACK, START_AGAIN)
            step.done(done)
        except Problem as problem:
            step.fail(problem)  # before it is off: the panel's cell ends with that, and draws nothing any more
            raise
        finally:
            be_off(launch, *end)
