"""Starting the web UI, and what it is started with: a version that does not come up is replaced by the last one that
did.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import requests

from launcher.colab.machine import Machine
from launcher.core.fields import DEFAULT_CHECKPOINT, LAST_GOOD
from launcher.core.folder import GB, Folder, write_safely
from launcher.core.problem import Problem
from launcher.core.session import Session, read_object
from launcher.core.settings import Settings
from launcher.core.status import Step
from launcher.extensions.files import described, kept_extensions, put_extensions, switched_off
from launcher.extensions.installers import run_installers
from launcher.extensions.manage import CONTROLNET, extension_arguments
from launcher.extensions.suspects import Suspicion
from launcher.launch.steps import Failed, Steps
from launcher.models.checksums import sync_checksums
from launcher.models.previews import lend_previews
from launcher.python.environment import (
    borrowed_bytes,
    foreign_libraries,
    loaded_libraries,
    make_work,
    prepare_python,
    trouble_with,
)
from launcher.python.packages import packages_for
from launcher.python.pins import LOCKED_COMMIT, LOCKED_VERSION
from launcher.python.uv import webui_environment
from launcher.source.versions import Fails, Stage, Tries
from launcher.source.webui import check_out_sub_repositories, check_out_version, versions_to_try
from launcher.webui.arguments import fixed_arguments, machine_arguments
from launcher.webui.explain import not_loaded
from launcher.webui.outputs import OutputPlaces
from launcher.webui.settings_file import check_settings_file
from launcher.webui.web_ui import Plan, WebUI

CHANGED: Final = "extensions changed"  # what the notice is about that a restart makes untrue
NOTES: Final = "oneclick.json"  # in the folder on Drive
BORROWED: Final = "Borrowed from this machine"  # a fact under the panel

T = TypeVar("T")


class WebUIStart:
    tries: Tries  # set by `choose_version`

    def __init__(self, settings: Settings, machine: Machine, folder: Folder, steps: Steps) -> None:
        self.settings, self.machine, self.folder, self.steps = settings, machine, folder, steps
        self.status, self.webui = steps.status, WebUI(folder)
        self.session = Session(folder.session)
        self._unnoted = False
        self.outputs = OutputPlaces(folder.code, folder.data, folder.kept, self.status.notice)

    def install(self, packages: list[str]) -> bool:
        """Have these packages in the web UI's Python; True if any had to be fetched."""
        made = prepare_python(self.folder, packages, self.steps.of("python"))
        self.steps.of("python").say(f"{len(packages)} packages")
        return made.installed_now

    def say_borrowed(self) -> None:
        """Say how much this machine lends, which may be less after a look at it."""
        borrowed = borrowed_bytes(self.folder)
        if borrowed or BORROWED in dict(self.status.now.facts):
            self.status.fact(BORROWED, f"{borrowed / GB:.1f} GB")

    def packages(self) -> list[str]:
        """What A1111, as it lies on the machine, and the extensions want."""
        requirements = (self.folder.code / "requirements_versions.txt").read_bytes()
        return packages_for(requirements, CONTROLNET in kept_extensions(self.folder))

    def plan(self, checkpoint: str) -> Plan:
        sizes = [path.stat().st_size for path in self.folder.checkpoints() if path.name == checkpoint]
        model = max(sizes, default=0)
        flags = (
            *fixed_arguments(self.folder, checkpoint if self.settings.checkpoint != DEFAULT_CHECKPOINT else ""),
            *extension_arguments(self.folder),
            *machine_arguments(self.machine.gpu, self.machine.memory, self.machine.card_memory, model),
            *(("--enable-insecure-extension-access",) if self.settings.extensions_tab else ()),
            *self.settings.extra_arguments,
        )
        return Plan(self.folder.python / "bin" / "python", flags, webui_environment(self.folder))

    def choose_version(self, newest: str | None, step: Step) -> None:
        """Choose which versions of A1111 may be used; `newest` is the newest, where GitHub was asked already."""
        self.tries = versions_to_try(self.folder, self.settings.version, step, newest)

    @property
    def version(self) -> str:
        """The version that is used, as people know it: the name of the release, or the first digits of the commit."""
        commit = self.tries.commit
        return LOCKED_VERSION if commit == LOCKED_COMMIT else commit[:8]

    def keep_version(self, step: Step) -> None:
        self.tries = versions_to_try(self.folder, LAST_GOOD, step)

    def check_out_source(self, step: Step) -> None:
        self.tries.run(step, self._source(step))

    def install_packages(self, step: Step) -> tuple[int, bool]:
        """Install the packages of the first version that can be had; how many, and whether any had to be fetched."""
        new: list[bool] = []
        packages = Stage(Fails.PACKAGES, lambda commit: new.append(self.install(self.packages())))
        self.tries.run(step, self._source(step), packages)
        return len(self.packages()), any(new)

    def start_some_version(self, plan: Plan) -> None:
        """Start the first version that comes up, and note which it was."""
        step = self.steps.of("webui")

        def start(commit: str) -> None:
            self.tries.begin()
            try:
                self.start(plan)
            except Failed:  # it was ended on purpose: no fault of the version
                self.tries.give_up()
                raise

        packages = Stage(Fails.PACKAGES, lambda commit: self.install(self.packages()))
        self.tries.run(step, self._source(step), packages, Stage(Fails.START, start))
        self._unnoted = True

    def note_what_started(self) -> None:
        """Note on Drive the versions that have started, if that is new. Nobody need wait for Drive to take it."""
        if self._unnoted:
            self.tries.worked()
            commits = {name: described(self.folder, name).commit for name in kept_extensions(self.folder)}
            note(self.folder, extensions=commits)
            self._unnoted = False

    def _source(self, step: Step) -> Stage:
        def check_out(commit: str) -> None:
            check_out_version(self.folder, commit, step)
            check_out_sub_repositories(self.folder, step)

        return Stage(Fails.SOURCE, check_out)

    def start(self, plan: Plan) -> None:
        """Start it; extensions that keep it from starting are switched off, and it is started again without them."""
        self.status.remove(CHANGED)
        put_extensions(self.folder, self.steps.of("extensions"))
        self.install(self.packages())
        self.steps.of("extensions").begin("looking for new ones")
        ran = run_installers(self.folder, self.steps.of("extensions"))  # the web UI before may work on meanwhile
        self.session.lead_to(port=0)
        self.webui.stop()
        broken = check_settings_file(self.folder.data, self.folder.code)
        if broken:
            self.status.notice(broken)
        self.outputs.prepare()
        lend_previews(self.folder.code)
        with self.steps.beside("passing on the checksums of your models"):
            sync_checksums(self.folder, only_news=True)
        suspicion = Suspicion(self.folder, noted(self.folder, "extensions", dict[str, str]()))
        while not self.steps.over.is_set():
            names = [name for name in kept_extensions(self.folder) if name not in switched_off(self.folder)]
            self.steps.of("extensions").done((", ".join(names) or "none") + (f" ({ran} installed now)" if ran else ""))
            try:
                without = f" without {', '.join(suspicion.blamed)}" if suspicion.blamed else ""
                self.steps.of("webui").say(f"starting Python{without}")
                self._come_up(plan)
                break
            except Problem as problem:
                if self.steps.over.is_set():  # it was ended on purpose
                    raise Failed from problem
                if not problem.by_extension or not suspicion.switch_next(self.webui.last_words):
                    suspicion.acquit()
                    raise
        else:
            raise Failed
        self._say_what_did_not_load()
        self._say_foreign_libraries()
        if suspicion.blamed:
            one = len(suspicion.blamed) == 1
            who = (
                f"The extension {suspicion.blamed[0]}"
                if one
                else f"One of the extensions {', '.join(suspicion.blamed)}"
            )
            self.status.notice(
                f"{who} kept the web UI from starting and was switched off. It was not deleted: "
                "the cell **Add or update an extension** switches it on again or removes it."
            )

    def _come_up(self, plan: Plan) -> None:
        """Start it, and check meanwhile that its packages work here; if they do not, mend them and start it again."""
        self.webui.start(plan)
        with ThreadPoolExecutor(1) as pool:
            look = pool.submit(trouble_with, self.folder)
            try:
                self.wait()
            except Problem:
                if not look.result():  # else the look knows why
                    raise
        if look.result():
            self.webui.stop()
            with self.steps.step("python", "checking what does not work on this machine"):
                make_work(self.folder, self.steps.of("python"))
                self.say_borrowed()
                self.steps.of("python").done(f"{len(self.packages())} packages")
            self.webui.start(plan)
            self.wait()

    def _say_what_did_not_load(self) -> None:
        """Name the extensions that A1111 went on without."""
        told = not_loaded(self.webui.last_words)
        sentences = [f"{name} ({reason})" for name, reason in told.items()]
        if sentences:
            self.status.notice(
                f"These extensions did not load completely: {'; '.join(sentences)}. The rest of the web UI works. "
                "The cell **Add or update an extension** updates them, switches them off or removes them.",
                about="not loaded",
            )
        else:
            self.status.remove("not loaded")

    def _say_foreign_libraries(self) -> None:
        """Name a CUDA library that came from elsewhere than the web UI's own packages, and with it a second cuDNN."""
        foreign = foreign_libraries(self.folder, loaded_libraries(self.webui.pid))
        if foreign:
            self.status.notice(
                f"The web UI has loaded {foreign[0]}, which is not the CUDA library it was made with: images can fail. "
                "If they do, choose Runtime → Disconnect and delete runtime, and press ▶ again; if it happens again, "
                "switch off the extension you added last.",
                about="CUDA libraries",
            )
        else:
            self.status.remove("CUDA libraries")

    def wait(self) -> None:
        """Wait until it is ready; raises `Problem` where it ends, `Failed` where the launch does."""
        if not self.webui.wait_until_ready(self.steps.of("webui"), self.steps.over.is_set):
            raise Failed

    def use_checkpoint(self, name: str) -> None:
        """Make a running web UI list, and if it was asked for, load a checkpoint."""
        with self.steps.beside("passing on the checksums of your models"):
            sync_checksums(self.folder)
        try:
            self.webui.refresh_checkpoints()
            if self.settings.checkpoint != DEFAULT_CHECKPOINT:
                self.webui.choose_checkpoint(name)
        except requests.RequestException as error:
            self.status.notice(
                f"The web UI could not be switched to the checkpoint ({type(error).__name__}). "
                "Choose it at the top left of the web UI."
            )


def noted(folder: Folder, what: str, default: T) -> T:
    """What a launch noted on Drive for those after it: `extensions` that worked, models `looked_at`."""
    found = read_object(folder.kept / NOTES).get(what)
    return found if isinstance(found, type(default)) else default


def note(folder: Folder, **what: object) -> None:
    write_safely(folder.kept / NOTES, json.dumps(read_object(folder.kept / NOTES) | what))
