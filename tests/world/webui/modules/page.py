"""The page, made by gradio 3.41.2 with its real queue."""

import gradio as gr

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


def serve(paint, host: str, port: int):
    """Serve it in the background; the FastAPI application."""
    with gr.Blocks(title="Stable Diffusion", analytics_enabled=False) as demo:
        gr.Markdown("# Stand-in for AUTOMATIC1111")
        prompt = gr.Textbox(label="Prompt", elem_id="txt2img_prompt")
        steps = gr.Slider(1, 150, 1, step=1, label="Sampling steps", elem_id="txt2img_steps")
        button = gr.Button("Generate", elem_id="txt2img_generate")
        result = gr.Image(label="Result", elem_id="txt2img_result")
        button.click(paint, [prompt, steps], result, _js=WATCH)
    return demo.queue().launch(server_name=host, server_port=port, prevent_thread_lock=True, quiet=True)[0]
