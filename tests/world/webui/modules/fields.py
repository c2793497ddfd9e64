"""What stands on the page."""

import gradio as gr


def head() -> None:
    gr.Markdown("# Stand-in for AUTOMATIC1111")


def txt2img() -> tuple:
    """The fields that making an image takes: what to paint, in how many steps, the button, and where it appears."""
    prompt = gr.Textbox(label="Prompt", elem_id="txt2img_prompt")
    steps = gr.Slider(1, 150, 1, step=1, label="Sampling steps", elem_id="txt2img_steps")
    button = gr.Button("Generate", elem_id="txt2img_generate")
    return prompt, steps, button, gr.Image(label="Result", elem_id="txt2img_result")
