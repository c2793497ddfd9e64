"""Starting the web UI, and what it is started with."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import requests

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.drive.find import Remembered
from launcher.drive.linked import link_new_models
from launcher.extensions.builtin import put_builtin
from launcher.extensions.extension import (
    Suspicion,
    all_switched_off,
    extensions_on_drive,
    put_extensions,
    switch,
    switched_off,
)
from launcher.extensions.install import run_installers
from launcher.extensions.manage import CONTROLNET, extension_arguments
from launcher.launch.card import HIDES, LOOKING, compare_card
from launcher.launch.launch import Launch
from launcher.launch.steps import Failed
from launcher.models.checksums import sync_checksums
from launcher.models.companions import lend_previews
from launcher.python.bytecode import discard_bytecode
from launcher.python.environment import foreign_libraries, prepare_python, webui_environment
from launcher.python.inspection import Inspection, inspect_packages, mend, note_works
from launcher.python.lock import LOCKED_COMMIT, LOCKED_VERSION, packages_for
from launcher.source.checkout import check_out_sub_repositories, check_out_version
from launcher.source.versions import Stage
from launcher.webui import settings_files
from launcher.webui.explain import not_loaded
from launcher.webui.known_faults import DAMAGED_WORDS
from launcher.webui.process import Plan, check_arguments, fixed_arguments, machine_arguments

EXTENSIONS_CHANGED, CHOSEN = "extensions changed", "choices"  # what the notices are about that a restart makes untrue
# Arguments with which A1111 loads no extension of a person.
NO_EXTENSIONS: Final = {"--disable-all-extensions", "--disable-extra-extensions"}
CLIPS_WORDS: Final = "huggingface/hub/models--openai--clip-vit-large-patch14"  # below the data folder
BYTECODE_DISCARDED: Final = (
    "The web UI did not start with the compiled files kept on your Drive. They were deleted; new ones are made."
)


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
    """As people know it: the name of the release, or the first digits of the commit."""
    commit = launch.tries.commit
    return LOCKED_VERSION if commit == LOCKED_COMMIT else launch.tries.versions.release_of(commit) or commit[:8]


def note_what_started(launch: Launch) -> None:
    """Note on Drive the versions that have started. Nobody need wait for Drive to take it."""
    launch.tries.worked()
    worked = {one.name: one.commit for one in extensions_on_drive(launch.folder)}
    Remembered.write(launch.folder.kept, extensions=worked, switched_off=sorted(switched_off(launch.folder)))


# ---- what it is started with


def packages_of(folder: Folder) -> list[str]:
    """What A1111, as it lies on the machine, and the extensions want."""
    requirements = (folder.code / "requirements_versions.txt").read_bytes()
    return packages_for(requirements, CONTROLNET in [one.name for one in extensions_on_drive(folder)])


def install_packages(launch: Launch, packages: list[str] | None = None) -> None:
    """Have these packages in the web UI's Python, or those it wants."""
    wanted, step = packages or packages_of(launch.folder), launch.steps.of("python")
    prepare_python(launch.folder, wanted, step)
    step.say(f"{len(wanted)} packages")


def plan_of(launch: Launch, checkpoint: str) -> Plan:
    launch.wait_for(LOOKING)
    folder, settings = launch.folder, launch.settings
    model = max((path.stat().st_size for path in folder.checkpoints() if path.name == checkpoint), default=0)
    flags = (
        *fixed_arguments(folder, checkpoint if "checkpoint" in launch.asked else ""),
        *extension_arguments(folder),
        *_flags_of_card(launch, model),
        *(("--enable-insecure-extension-access",) if settings.extensions_tab else ()),
        *settings.extra_arguments,
    )
    hidden = {HIDES: "-1"} if launch.no_card and not launch.machine.gpu else {}  # else A1111 would go on asking it
    return Plan(folder.python / "bin" / "python", flags, webui_environment(folder) | hidden)


def _flags_of_card(launch: Launch, model: int = 0) -> tuple[str, ...]:
    machine = launch.machine
    return machine_arguments(machine.gpu, machine.memory, machine.card_memory, model)


# ---- the start


def start_web_ui(launch: Launch, checkpoint: str) -> None:
    """Start it; extensions that keep it from starting are switched off, and it is started again without them."""
    folder, status, row = launch.folder, launch.status, launch.steps.of("extensions")
    for about in (EXTENSIONS_CHANGED, CHOSEN):
        status.notice(None, about=about)
    put_extensions(folder, row)
    install_packages(launch)
    keep_switched_off(folder)
    row.begin("looking for new ones")
    ran = run_installers(folder, row)  # the web UI before may work on meanwhile
    check_arguments(folder.code, folder.data, launch.settings.extra_arguments)
    launch.session.lead_to(port=0)
    launch.webui.stop()
    fault = launch.webui.says.read().model
    if fault and fault.known is DAMAGED_WORDS:
        shutil.rmtree(folder.data / CLIPS_WORDS, ignore_errors=True)
    checks = [settings_files.check_settings_file(folder.data, folder.code)]
    checks += [settings_files.check_page_settings(folder.data), *settings_files.check_texts(folder.data)]
    for text in checks:
        status.notice(text)
    keep_switched_off(folder)
    launch.outputs.prepare()
    lend_previews(folder.code)
    put_builtin(folder.code)
    with launch.steps.beside("passing on the checksums of your models"):
        sync_checksums(folder, only_news=True)
    suspicion = Suspicion(folder, Remembered.read(folder.kept).extensions)
    while True:
        plan = plan_of(launch, checkpoint)
        why_none = all_are_off(folder, plan)
        off = switched_off(folder)
        names = [one.name for one in extensions_on_drive(folder) if one.name not in off and not why_none]
        row.done((", ".join(names) or "none") + (f" ({ran} installed now)" if ran else ""))
        status.notice(why_none, about="no extensions")
        if launch.over.is_set():
            raise Failed
        without = f" without {', '.join(suspicion.disabled)}" if suspicion.disabled else ""
        launch.steps.of("webui").say(f"starting Python{without}")
        try:
            _come_up(launch, plan, checkpoint)
            break
        except Problem as problem:
            if launch.over.is_set():  # it was ended on purpose
                raise Failed from problem
            log = launch.webui.last_words
            blamed = settings_files.blame_page_settings(folder.data, log)
            if sentence := blamed or (problem.by_extension and discard_bytecode(folder) and BYTECODE_DISCARDED):
                status.notice(sentence)
            elif not problem.by_extension or not suspicion.disable_next(log):
                switch(folder, on=suspicion.disabled)  # it was none of them
                raise
    _say_what_is_odd(launch, suspicion.disabled)


def keep_switched_off(folder: Folder) -> None:
    """Where Drive lost the web UI's settings, what was off at the last start stays off: no code of it is to run."""
    if not (folder.data / settings_files.SETTINGS_FILE).exists():
        switch(folder, off=Remembered.read(folder.kept).switched_off)


def all_are_off(folder: Folder, plan: Plan) -> str | None:
    """Why A1111 loads no extension at all, whatever the list of those that are off says; None if there are none."""
    why = None
    if barred := NO_EXTENSIONS & {*plan.arguments}:
        why = f"{min(barred)} in **extra_arguments** switches them all off. Remove it and press **Restart the web UI**."
    elif all_switched_off(settings_files.read_settings(folder.data) or {}):
        why = (
            "a setting of the web UI switches them all off. The cell **Add or update an extension** switches them on "
            "again, one by one."
        )
    return f"None of your extensions is loaded: {why}" if why and extensions_on_drive(folder) else None


def _come_up(launch: Launch, plan: Plan, checkpoint: str) -> None:
    """Start it, and inspect meanwhile whether its packages and the card work here. As soon as it is known that they do
    not, they are mended, or the card is done without, and it is started again.
    """

    def inspect() -> tuple[Inspection, bool]:
        """What is found of its packages and the card, and whether it is useless as it was started."""
        found = inspect_packages(launch.folder, has_card=bool(launch.machine.gpu))
        compare_card(launch, found)
        return found, found.cause is not None or _flags_of_card(launch) != flags

    flags = _flags_of_card(launch)
    launch.webui.start(plan)
    with ThreadPoolExecutor(1) as pool:
        inspection = pool.submit(inspect)
        try:
            wait_until_ready(launch, unless=lambda: inspection.done() and inspection.result()[1])
        except Problem:
            if not inspection.result()[1]:  # else that is why
                raise
    found, useless = inspection.result()
    if useless:
        launch.webui.stop()
        if found.cause:
            with launch.steps.step("python", "replacing what does not work on this machine") as step:
                found = mend(launch.folder, found, step)
                compare_card(launch, found)
                step.done(f"{len(packages_of(launch.folder))} packages")
        launch.webui.start(plan_of(launch, checkpoint))
        wait_until_ready(launch)
    if not launch.no_card:
        note_works(launch.folder, found)


def wait_until_ready(launch: Launch, unless: Callable[[], bool] = lambda: False) -> None:
    """Wait until it is ready, or `unless`; raises `Problem` where it ends, `Failed` where the launch does."""
    step = launch.steps.of("webui")
    if not launch.webui.wait_until_ready(step, lambda: launch.over.is_set() or unless()) and launch.over.is_set():
        raise Failed


def _say_what_is_odd(launch: Launch, disabled: list[str]) -> None:
    """Name the extensions that were switched off, and those that A1111 went on without; for a report, a CUDA library
    that is not of its own packages.
    """
    reasons = [f"{name} ({reason})" for name, reason in not_loaded(launch.webui.last_words).items()]
    what = f"These extensions did not load completely: {'; '.join(reasons)}. The rest of the web UI works."
    do = "The cell **Add or update an extension** updates them, switches them off or removes them."
    launch.status.notice(f"{what} {do}" if reasons else None, about="not loaded")
    if disabled:
        who = f"The extension {disabled[0]}" if len(disabled) == 1 else f"One of the extensions {', '.join(disabled)}"
        launch.status.notice(
            f"{who} kept the web UI from starting and was switched off. It was not deleted: "
            "the cell **Add or update an extension** switches it on again or removes it."
        )
    if foreign := foreign_libraries(launch.folder, launch.webui.pid):
        launch.status.fact("CUDA libraries from elsewhere", ", ".join(foreign[:3]))


# ---- its models


def use_model(launch: Launch, name: str) -> None:
    """Have the running web UI load this checkpoint. Where it cannot take one any more it is started again with it."""
    launch.checkpoint, gone = name, False
    try:
        launch.webui.choose_checkpoint(name)
    except requests.ReadTimeout:  # it is painting, and that is not to be lost
        launch.status.notice(f"The web UI is busy, and has not loaded {name} yet. Choose it at its top left.")
    except requests.RequestException:
        gone = True
    if gone or launch.webui.says.read().needs_another:
        launch.restart_wanted.set()


def show_models(launch: Launch) -> None:
    """Have a web UI that runs list what is there now."""
    link_new_models(launch.folder)
    if launch.webui.ready:
        with launch.steps.beside("showing the web UI your models"):
            sync_checksums(launch.folder)
            with suppress(requests.RequestException):  # it is painting: its lists have a refresh button
                launch.webui.refresh_checkpoints()
            launch.sync.restore()  # an embedding goes from Drive to the machine
