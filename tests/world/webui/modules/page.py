"""The page, made by gradio 3.41.2 with its real queue."""

from pathlib import Path

import gradio as gr
import gradio.routes
from modules import fields
from modules.script_callbacks import ui_tabs_callback

# As javascript/progressbar.js: the page asks twice a second while an image is made, and shows what comes.
WATCH = """(prompt, steps) => {
  const began = Date.now(), picture = new Image();
  let seen = -1, active = false;
  picture.className = "livePreview";
  document.querySelector("#txt2img_result").prepend(picture);
  const ask = async () => {
    const body = JSON.stringify({id_live_preview: seen}), headers = {"Content-Type": "application/json"};
    const told = await (await fetch("./internal/progress", {method: "POST", headers, body})).json();
    if (told.live_preview) { picture.src = told.live_preview; seen = told.id_live_preview; }
    active ||= told.active;
    if (told.active || (!active && Date.now() - began < 5000)) setTimeout(ask, 500);
    else picture.remove();
  };
  ask();
  return [prompt, steps];
}"""


# As script.js: what scripts of extensions are called by, once the page is there.
SCRIPT_JS = """const gradioApp = () => document;
const onUiLoaded = (call) => { const timer = setInterval(() => {
  if (document.querySelector("#txt2img_prompt")) { clearInterval(timer); call(); } }, 50); };"""
BUILT_IN = Path("extensions-builtin")


def load_built_in():
    """As modules/scripts.py and ui_gradio_extensions.py: built-in extensions' scripts, and their part of the page."""
    for script in sorted(BUILT_IN.glob("*/scripts/*.py")):
        try:
            exec(compile(script.read_text(), str(script), "exec"), {"__name__": script.stem, "__file__": str(script)})
        except ModuleNotFoundError as error:
            if error.name != "torch":  # the stand-in paints without it
                raise
    texts = [SCRIPT_JS, *(script.read_text() for script in sorted(BUILT_IN.glob("*/javascript/*.js")))]
    head = "".join(f"<script>{text}</script>" for text in texts).encode()
    original = gradio.routes.templates.TemplateResponse

    def template_response(*args, **kwargs):
        response = original(*args, **kwargs)
        response.body = response.body.replace(b"</head>", head + b"</head>")
        response.init_headers()
        return response

    gradio.routes.templates.TemplateResponse = template_response


def serve(paint, host: str, port: int):
    """Serve it in the background; the FastAPI application."""
    load_built_in()
    tabs = ui_tabs_callback()
    with gr.Blocks(title="Stable Diffusion", analytics_enabled=False) as demo:
        fields.head()
        with gr.Tabs(elem_id="tabs"):
            with gr.TabItem("txt2img", id="txt2img", elem_id="tab_txt2img"):
                prompt, steps, button, result = fields.txt2img()
            for interface, label, name in tabs:
                with gr.TabItem(label, id=name, elem_id=f"tab_{name}"):
                    interface.render()
        button.click(paint, [prompt, steps], result, _js=WATCH)
    return demo.queue().launch(server_name=host, server_port=port, prevent_thread_lock=True, quiet=True)[0]
