"""A tab with the launcher's page in a frame, which launcher_tab.js fills while the tab is shown. It runs in A1111."""

import gradio
from modules import script_callbacks


def make_tab():
    with gradio.Blocks(analytics_enabled=False) as tab:
        gradio.HTML('<iframe id="oneclick_frame" title="Launcher" style="width:100%;height:80vh;border:0"></iframe>')
    return [(tab, "Launcher", "oneclick_launcher")]


script_callbacks.on_ui_tabs(make_tab)
