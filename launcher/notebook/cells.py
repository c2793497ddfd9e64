"""The cells' text and form fields."""

import json
from typing import Final

from launcher import BRANCH, COLAB_LINK, OWNER, REPOSITORY, __version__
from launcher.core.fields import AS_LAST_TIME, FIELDS, Field
from launcher.extensions.manage import EXTENSION_ACTIONS
from launcher.models.catalog import (
    ALL_CONTROLS,
    CHECKPOINT_NAMES,
    CONTROL_FAMILIES,
    ESSENTIALS,
    MODELS,
    OLD_CONTROL_MODELS,
)
from launcher.models.kinds import KIND_FOLDERS

BADGE_IMAGE: Final = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE: Final = f'<a href="{COLAB_LINK}" target="_parent"><img src="{BADGE_IMAGE}" alt="Open In Colab"/></a>'

TITLE: Final = f"""\
# One-click Stable Diffusion

Press ▶ on the cell below, allow Google Drive, and a few minutes later press **Open the web UI**: \
your own AUTOMATIC1111, with a password.
Models, images and settings stay on your Drive; the next start downloads none of them again.
Help and the source: [github.com/{OWNER}/{REPOSITORY}](https://github.com/{OWNER}/{REPOSITORY}) · Version {__version__}

> **What Google says:** on runtimes that are free of charge, Colab does not allow "bypassing the notebook UI to \
interact primarily via a web UI", and may end such a runtime at any time without warning. \
With a positive balance of compute units this restriction does not apply. \
[Colab's FAQ](https://research.google.com/colaboratory/faq.html#limitations-and-restrictions)"""


def choices(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def line_of(field: Field) -> str:
    """A field's lines in the form, as Colab reads them."""
    names = CHECKPOINT_NAMES if field.name == "checkpoint" else field.choices
    if names:
        kind = choices((str(field.untouched), *names)) + (" {allow-input: true}" if field.free else "")
    else:
        kind = f'{{type:"string", placeholder:"{AS_LAST_TIME}"}}'
    return f"{field.name} = {json.dumps(field.untouched)} #@param {kind}\n#@markdown {field.about}\n"


LAUNCH_FORM: Final = f"""\
#@title ▶ Start {{ display-mode: "form" }}
# Below is the launcher without its comments; with them it is in https://github.com/{OWNER}/{REPOSITORY}/tree/{BRANCH}/launcher
{"".join(line_of(field) for field in FIELDS if field.in_form)}"""

ADD_MODEL: Final = f"""\
#@title ▶ Add a model {{ display-mode: "form" }}
what = "" #@param {choices(("", *(model.name for model in MODELS)))} {{allow-input: true}}
#@markdown A model from the list, or links separated by spaces: Hugging Face, Civitai, Google Drive, GitHub, \
or any https link to a model file.
kind = "detect" #@param {choices(("detect", *KIND_FOLDERS))}
#@markdown What kind of file it is. **detect** finds out.
file_name = "" #@param {{type:"string"}}
#@markdown A new name for the file. Leave it empty to keep its own name.
"""

OLD_FILES: Final = (file for files in OLD_CONTROL_MODELS.values() for file in files)
CONTROLS: Final = (ESSENTIALS, ALL_CONTROLS, "canny, depth, openpose", *OLD_FILES)
ADD_CONTROLNET: Final = f"""\
#@title ▶ Add ControlNet {{ display-mode: "form" }}
for_models = "{CONTROL_FAMILIES[0]}" #@param {choices((*CONTROL_FAMILIES, ", ".join(CONTROL_FAMILIES)))}
#@markdown The kind of checkpoint you use: each has its own ControlNet models.
controls = "{ESSENTIALS}" #@param {choices(CONTROLS)} {{allow-input: true}}
#@markdown Which controls to install. **{ESSENTIALS}** is canny, depth and openpose (2.2 GB for Stable Diffusion 1.5, \
2.5 GB for XL). You can also write names, separated by commas.
"""

ADD_EXTENSION: Final = f"""\
#@title ▶ Add or update an extension {{ display-mode: "form" }}
action = "add" #@param {choices(EXTENSION_ACTIONS)}
#@markdown **add** also updates one that is there; **update all** and **list** need no address.
what = "" #@param {{type:"string", placeholder:"https://github.com/owner/name"}}
#@markdown The address of the extension's page, or for the last three actions its name. \
An extension is a program: add only those you trust.
"""

STOP: Final = """\
#@title ▶ Stop { display-mode: "form" }
give_back_the_machine = False #@param {type:"boolean"}
#@markdown Ends the web UI and its link once your last image is saved. \
Tick the box to give the machine and its GPU back to Google, too.
"""

# Each code cell: its id, what it asks for, its form.
CODE_CELLS: Final = (
    ("launch", "launch", LAUNCH_FORM),
    ("add-model", "add_model", ADD_MODEL),
    ("add-controlnet", "add_controlnet", ADD_CONTROLNET),
    ("add-extension", "change_extensions", ADD_EXTENSION),
    ("stop", "stop", STOP),
)
