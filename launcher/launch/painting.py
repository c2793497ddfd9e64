"""Whether an image can be painted, as the status shows it, and another model in place of one that does not load."""

from typing import Final

import requests

from launcher.core.snapshot import FAILED, State
from launcher.launch.launch import Launch
from launcher.models.catalog import CHECKPOINT_NAMES
from launcher.models.remote import Offered
from launcher.webui.running import Fault

MOST_MODELS_OFFERED: Final = 3


def check_painting(launch: Launch) -> None:
    """Show what the web UI's log says: whether it can paint, why not, and what helps."""
    says, status, row = launch.webui.says.read(), launch.status, launch.steps.of("model")
    if status.now.state != State.READY:
        return
    status.show(title=says.headline, can_paint=says.paints)
    lost = says.model if says.model and not says.model.paints else None
    failed = next((one.problem for one in status.now.steps if one.name == row.name and one.state == FAILED), None)
    if lost and failed != lost.problem.what:
        row.fail(Offered(lost.problem.what, lost.problem.do, other_models(launch, lost)))
    elif failed and says.loaded:
        row.done(says.file or "")
    for about, fault in (("model", says.model if not lost else None), ("image", says.image)):
        status.notice(f"{fault.problem.what} {fault.problem.do}" if fault else None, about=about)


def other_models(launch: Launch, fault: Fault) -> tuple[tuple[str, str], ...]:
    """What is offered in place of a model that does not load: others in the folder, else the usual one."""
    if not fault.known.another:
        return ()
    there = [path.name for path in launch.folder.checkpoints() if path.name != fault.file][:MOST_MODELS_OFFERED]
    usual = CHECKPOINT_NAMES[0]
    return tuple((f"Use {name}", name) for name in there) or ((f"Download {usual}", usual),)


def use_model(launch: Launch, name: str) -> None:
    """Have the running web UI load this checkpoint. Where it cannot take one any more it is started again with it."""
    launch.checkpoint = name
    try:
        launch.webui.choose_checkpoint(name)
    except requests.RequestException:
        launch.restart_wanted.set()
    if not launch.webui.says.read().paints:
        launch.restart_wanted.set()
