"""Starting the web UI, and what it is started with."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import requests

from launcher.core.folder import GB, Folder
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.drive.remembered import Remembered
from launcher.extensions.builtin import LAUNCHER_TAB, put_builtin
from launcher.extensions.extension import extensions_on_drive, put_extensions, switched_off
from launcher.extensions.install import run_installers
from launcher.extensions.manage import CONTROLNET, extension_arguments
from launcher.extensions.suspects import Suspicion
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed
from launcher.models.checksums import sync_checksums
from launcher.models.previews import lend_previews
from launcher.python import environment
from launcher.python.lock import LOCKED_COMMIT, LOCKED_VERSION, packages_for
from launcher.python.uv import webui_environment
from launcher.source.versions import Stage
from launcher.source.webui import check_out_sub_repositories, check_out_version
from launcher.webui.arguments import fixed_arguments, machine_arguments
from launcher.webui.explain import not_loaded
from launcher.webui.process import Plan
from launcher.webui.settings_files import check_settings_file

EXTENSIONS_CHANGED: Final = "extensions changed"  # what the notice is about that a restart makes untrue
BORROWED_FACT: Final = "Borrowed from this machine"  # a fact under the panel


def reach(launch: Launch, stage: Stage, step: Step, checkpoint: str = "") -> None:
    """Come to this stage with the first version of A1111 that can be had, installed and started so far."""

    def check_out(commit: str) -> None:
        check_out_version(launch.folder, commit, step)
        check_out_sub_repositories(launch.folder, step)

    works = {
        Stage.SOURCE: check_out,
        Stage.PACKAGES: lambda commit: install_packages(launch),
        Stage.START: lambda commit: start_web_ui(launch, checkpoint),
    }
    launch.tries.reach(stage, works, step)


def version_of(launch: Launch) -> str:
    """The version that is used, as people know it: the name of the release, or the first digits of the commit."""
    commit = launch.tries.commit
    return LOCKED_VERSION if commit == LOCKED_COMMIT else launch.tries.versions.release_of(commit) or commit[:8]


def note_what_started(launch: Launch) -> None:
    """Note on Drive the versions that have started, if that is new. Nobody need wait for Drive to take it."""
    if not launch.start_noted:
        launch.tries.worked()
        worked = {one.name: one.commit for one in extensions_on_drive(launch.folder)}
        Remembered.write(launch.folder.kept, extensions=worked)
        launch.start_noted = True


# ---- what it is started with


def packages_of(folder: Folder) -> list[str]:
    """What A1111, as it lies on the machine, and the extensions want."""
    requirements = (folder.code / "requirements_versions.txt").read_bytes()
    return packages_for(requirements, CONTROLNET in [one.name for one in extensions_on_drive(folder)])


def install_packages(launch: Launch, packages: list[str] | None = None) -> None:
    """Have these packages in the web UI's Python, or those it wants."""
    wanted, step = packages or packages_of(launch.folder), launch.steps.of("python")
    environment.prepare_python(launch.folder, wanted, step)
    step.say(f"{len(wanted)} packages")


def say_borrowed(launch: Launch) -> None:
    """Say how much this machine lends, which may be less after a look at it."""
    finished = environment.read_finished(launch.folder)
    borrowed = environment.linked_bytes(finished.linked) if finished else 0
    if borrowed or BORROWED_FACT in dict(launch.status.now.facts):
        launch.status.fact(BORROWED_FACT, f"{borrowed / GB:.1f} GB")


def plan_of(launch: Launch, checkpoint: str) -> Plan:
    folder, machine, settings = launch.folder, launch.machine, launch.settings
    model = max((path.stat().st_size for path in folder.checkpoints() if path.name == checkpoint), default=0)
    flags = (
        *fixed_arguments(folder, checkpoint if launch.checkpoint_asked else ""),
        *extension_arguments(folder),
        *machine_arguments(machine.gpu, machine.memory, machine.card_memory, model),
        *(("--enable-insecure-extension-access",) if settings.extensions_tab else ()),
        *settings.extra_arguments,
    )
    return Plan(folder.python / "bin" / "python", flags, webui_environment(folder))


# ---- the start


def start_web_ui(launch: Launch, checkpoint: str) -> None:
    """Start it; extensions that keep it from starting are switched off, and it is started again without them."""
    folder, status, row = launch.folder, launch.status, launch.steps.of("extensions")
    status.notice(None, about=EXTENSIONS_CHANGED)
    put_extensions(folder, row)
    install_packages(launch)
    row.begin("looking for new ones")
    ran = run_installers(folder, row)  # the web UI before may work on meanwhile
    launch.session.lead_to(port=0)
    launch.webui.stop()
    broken = check_settings_file(folder.data, folder.code)
    if broken:
        status.notice(broken)
    launch.outputs.prepare()
    lend_previews(folder.code)
    put_builtin(folder.code, (LAUNCHER_TAB,))
    with launch.steps.beside("passing on the checksums of your models"):
        sync_checksums(folder, only_news=True)
    plan, suspicion = plan_of(launch, checkpoint), Suspicion(folder, Remembered.read(folder.kept).extensions)
    while True:
        off = switched_off(folder)
        names = [one.name for one in extensions_on_drive(folder) if one.name not in off]
        row.done((", ".join(names) or "none") + (f" ({ran} installed now)" if ran else ""))
        if launch.over.is_set():
            raise Failed
        without = f" without {', '.join(suspicion.disabled)}" if suspicion.disabled else ""
        launch.steps.of("webui").say(f"starting Python{without}")
        try:
            _come_up(launch, plan)
            break
        except Problem as problem:
            if launch.over.is_set():  # it was ended on purpose
                raise Failed from problem
            if not problem.by_extension or not suspicion.disable_next(launch.webui.last_words):
                suspicion.restore()
                raise
    _say_what_is_odd(launch)
    if suspicion.disabled:
        names = suspicion.disabled
        who = f"The extension {names[0]}" if len(names) == 1 else f"One of the extensions {', '.join(names)}"
        status.notice(
            f"{who} kept the web UI from starting and was switched off. It was not deleted: "
            "the cell **Add or update an extension** switches it on again or removes it."
        )


def _come_up(launch: Launch, plan: Plan) -> None:
    """Start it, and check meanwhile that its packages work here; if they do not, mend them and start it again."""
    launch.webui.start(plan)
    with ThreadPoolExecutor(1) as pool:
        trouble = pool.submit(environment.trouble_with, launch.folder)
        try:
            wait_until_ready(launch)
        except Problem:
            if not trouble.result():  # else that is why
                raise
    if trouble.result():
        launch.webui.stop()
        with launch.steps.step("python", "checking what does not work on this machine") as step:
            environment.make_work(launch.folder, step)
            say_borrowed(launch)
            step.done(f"{len(packages_of(launch.folder))} packages")
        launch.webui.start(plan)
        wait_until_ready(launch)


def wait_until_ready(launch: Launch) -> None:
    """Wait until it is ready; raises `Problem` where it ends, `Failed` where the launch does."""
    if not launch.webui.wait_until_ready(launch.steps.of("webui"), launch.over.is_set):
        raise Failed


def _say_what_is_odd(launch: Launch) -> None:
    """Name the extensions that A1111 went on without, and a CUDA library that came from elsewhere than the web UI's own
    packages, and with it a second cuDNN.
    """
    reasons = [f"{name} ({reason})" for name, reason in not_loaded(launch.webui.last_words).items()]
    said = (
        f"These extensions did not load completely: {'; '.join(reasons)}. The rest of the web UI works. "
        "The cell **Add or update an extension** updates them, switches them off or removes them."
    )
    launch.status.notice(said if reasons else None, about="not loaded")
    mixed = None
    if foreign := environment.foreign_libraries(launch.folder, launch.webui.pid):
        mixed = (
            f"The web UI has loaded {foreign[0]}, which is not the CUDA library it was made with: images can fail. "
            "If they do, choose Runtime → Disconnect and delete runtime, and press ▶ again; if it happens again, "
            "switch off the extension you added last."
        )
    launch.status.notice(mixed, about="CUDA libraries")


def use_checkpoint(launch: Launch, name: str) -> None:
    """Make a running web UI list, and if it was asked for, load a checkpoint."""
    with launch.steps.beside("passing on the checksums of your models"):
        sync_checksums(launch.folder)
    try:
        launch.webui.refresh_checkpoints()
        if launch.checkpoint_asked:
            launch.webui.choose_checkpoint(name)
    except requests.RequestException as error:
        launch.status.notice(
            f"The web UI could not be switched to the checkpoint ({type(error).__name__}). "
            "Choose it at the top left of the web UI."
        )
