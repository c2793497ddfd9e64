"""The cells' text and form fields. Owner, name and branch stand here and nowhere else: a fork changes them."""

from typing import Final

from launcher.core.settings import KEEP_ON_DRIVE, KEEP_THIS_SESSION, LINK_CHOICES
from launcher.extensions.manage import EXTENSION_ACTIONS
from launcher.models.catalog import CHECKPOINT_NAMES, DEFAULT_MODEL, MODELS
from launcher.models.controlnet import CONTROL_FAMILIES, ESSENTIALS, EVERYTHING, OLD_FILES
from launcher.models.kinds import KIND_FOLDERS

OWNER: Final = "beothorn"
REPOSITORY: Final = "OneClickStableDifusionAutomatic1111Colab"
BRANCH: Final = "main"
NOTEBOOK: Final = "OneClickLauncher.ipynb"

COLAB_LINK: Final = f"https://colab.research.google.com/github/{OWNER}/{REPOSITORY}/blob/{BRANCH}/{NOTEBOOK}"
BADGE: Final = f'<a href="{COLAB_LINK}" target="_parent"><img src="https://colab.research.google.com/assets/colab-badge.svg" alt="Open In Colab"/></a>'

TITLE: Final = f"""\
# One-click Stable Diffusion

Press ▶ on the cell below, allow Google Drive, and a few minutes later click the link to your own, password-protected AUTOMATIC1111 web UI.
Models, images and settings stay on your Drive; the next start downloads none of them again.
Help and the source: [github.com/{OWNER}/{REPOSITORY}](https://github.com/{OWNER}/{REPOSITORY})

> **What Google says:** on runtimes that are free of charge, Colab does not allow «bypassing the notebook UI to interact primarily via a web UI», \
and may end such a runtime at any time without warning. With a positive balance of compute units this restriction does not apply. \
[Colab's FAQ](https://research.google.com/colaboratory/faq.html#limitations-and-restrictions)"""


def choices(names: tuple[str, ...]) -> str:
    """A form's list of choices."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


LAUNCH_FORM: Final = f"""\
#@title ▶ Start {{ display-mode: "form" }}
checkpoint = "{DEFAULT_MODEL}" #@param {choices(CHECKPOINT_NAMES)} {{allow-input: true}}
#@markdown The model to paint with. A link to a model file can be pasted too. If your folder has models already, the first choice downloads nothing.
keep_models_on = "{KEEP_ON_DRIVE}" #@param {choices((KEEP_ON_DRIVE, KEEP_THIS_SESSION))}
#@markdown Where models are kept. «{KEEP_THIS_SESSION}» needs no room on Drive, but they are downloaded again next time.
drive_folder = "asd1111" #@param {{type:"string"}}
#@markdown The folder on your Google Drive. It is made if it is not there.
update = True #@param {{type:"boolean"}}
#@markdown Use the newest AUTOMATIC1111. If it does not start, the last one that did is used.
api = False #@param {{type:"boolean"}}
#@markdown Let programs (plug-ins for Krita, Photoshop, GIMP) use it, with the same user and password.
link = "automatic" #@param {choices(LINK_CHOICES)}
#@markdown How the web UI is reached. «automatic» tries gradio, cloudflared and pinggy, and then Colab's own link.
give_back_after = 0 #@param {{type:"integer"}}
#@markdown Minutes without any use after which the machine is given back to Google, so that it costs nothing more. 0 means never.
extensions_tab = False #@param {{type:"boolean"}}
#@markdown A1111's own Extensions tab can install programs: with this on, everybody who is logged in can run anything on this machine and on your Drive. The cell below adds extensions without it.
extra_arguments = "" #@param {{type:"string"}}
#@markdown More arguments for AUTOMATIC1111, for people who know them. Leave it empty otherwise.
"""

ADD_MODEL: Final = f"""\
#@title ▶ Add a model {{ display-mode: "form" }}
what = "{MODELS[1].name}" #@param {choices(tuple(model.name for model in MODELS))} {{allow-input: true}}
#@markdown A model of the list, or links (with spaces between): Hugging Face, Civitai, Google Drive, GitHub, or any https link to a model file.
kind = "detect" #@param {choices(("detect", *KIND_FOLDERS))}
#@markdown What it is. «detect» asks the source, or looks into the file.
file_name = "" #@param {{type:"string"}}
#@markdown The name to give it. Empty: the name it has.
"""

ADD_CONTROLNET: Final = f"""\
#@title ▶ Add ControlNet {{ display-mode: "form" }}
for_models = "{CONTROL_FAMILIES[0]}" #@param {choices((*CONTROL_FAMILIES, ", ".join(CONTROL_FAMILIES)))}
#@markdown The checkpoints it is for: each family has ControlNet models of its own.
controls = "{ESSENTIALS}" #@param {choices((ESSENTIALS, EVERYTHING, "canny, depth, openpose", *OLD_FILES))} {{allow-input: true}}
#@markdown What to steer with. «{ESSENTIALS}» is canny, depth and openpose (2.2 GB for Stable Diffusion 1.5, 2.5 GB for XL). Names can be written with commas between.
"""

ADD_EXTENSION: Final = f"""\
#@title ▶ Add or update an extension {{ display-mode: "form" }}
action = "add" #@param {choices(EXTENSION_ACTIONS)}
#@markdown «add» also brings one up to date that is there; «update all» and «list» need no address.
what = "" #@param {{type:"string", placeholder:"https://github.com/owner/name"}}
#@markdown The address of the extension's page, or for the last three actions its name. An extension is a program: add only those you trust.
"""

STOP: Final = """\
#@title ▶ Stop { display-mode: "form" }
give_back_the_machine = False #@param {type:"boolean"}
#@markdown Ends the web UI and its link after the last image is kept. On request it gives the machine and its GPU back too.
"""
