"""What only a person can do to a machine as a whole: in Colab by its menu, elsewhere where the machine was started.

The first cell decides which it is, once, by the folder into which it unpacks this package (`notebook/unpack.py`).
"""

from typing import Final

from launcher.core.process import PACKAGE

COLABS_FOLDER: Final = "oneclick"  # below /content
OTHERS_FOLDER: Final = "machine"  # below ~/oneclick, or ONECLICK_HOME
NOT_COLAB: Final = PACKAGE.parent.parent.name == OTHERS_FOLDER  # a checkout may lie directly below /

if NOT_COLAB:
    NEW_MACHINE = "end this machine where you started it, start it anew"
    NEW_SESSION = "restart the notebook's kernel"
    WITH_A_CARD = "choose a machine with a graphics card by NVIDIA"
    LARGER_CARD = "choose a machine with a larger graphics card"
    MORE_RAM = "choose a machine with more memory (RAM)"
else:
    NEW_MACHINE = "choose Runtime → Disconnect and delete runtime"
    NEW_SESSION = "choose Runtime → Restart session"
    WITH_A_CARD = "choose Runtime → Change runtime type → T4 GPU → Save"
    LARGER_CARD = "choose a runtime with a larger graphics card under Runtime → Change runtime type"
    MORE_RAM = "choose a runtime with High-RAM under Runtime → Change runtime type"
