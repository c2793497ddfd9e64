"""What lies on Drive already is used by a launch: models in any folder, images of earlier days."""

from launcher.drive.find import models_elsewhere
from launcher.drive.linked import join_models, link_models
from launcher.drive.restore import show_earlier_images
from launcher.launch.launch import Launch


def join_models_named(launch: Launch) -> None:
    """Use the models in a folder that was named as the web UI's, and has nothing else in it."""
    if name := launch.models_named:
        join_models(launch.folder.kept, name)
        launch.status.notice(
            f"{name} on your Drive has only models in it: they are used where they are, and everything else is kept in "
            f"{launch.settings.drive_folder}."
        )


def show_models_elsewhere(launch: Launch) -> None:
    """Have those that are used in the web UI's lists; say where there are others, before one is downloaded."""
    folder, say = launch.folder, launch.status.notice
    launch.steps.of("model").say("looking for your models")
    link_models(folder, say)
    if launch.checkpoint_asked or folder.checkpoints() or not launch.machine.mountpoint:
        return
    if names := models_elsewhere(folder.drive, folder.kept):
        say(
            f"There are models on your Drive in {' and '.join(names)}. To use them where they are, write {names[0]} "
            "into the box **Add a model, ControlNet or an extension**."
        )


def show_images(launch: Launch) -> None:
    show_earlier_images(launch.folder.data, launch.folder.kept, launch.status.notice, launch.over.is_set)
