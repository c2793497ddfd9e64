"""As A1111's: what extensions ask to be called for."""

callback_map = {"callbacks_ui_tabs": []}


def on_ui_tabs(callback, *, name=None):
    callback_map["callbacks_ui_tabs"].append(callback)


def ui_tabs_callback():
    return [tab for callback in callback_map["callbacks_ui_tabs"] for tab in callback() or []]
