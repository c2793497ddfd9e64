"""What stands on the page while it is filmed: AUTOMATIC1111's fields where they are, without what is behind most."""

import os
from pathlib import Path

import gradio as gr
from modules.cmd_args import parser

ASKS = "Prompt\n(Press Ctrl+Enter to generate, Alt+Enter to skip, Esc to interrupt)"


def head() -> None:
    folder = Path(parser.parse_args().data_dir, "models", "Stable-diffusion")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    with gr.Row():
        gr.Dropdown(names, value=names[0], label="Stable Diffusion checkpoint", scale=1)
        gr.HTML("", scale=1)


def txt2img() -> tuple:
    """The fields that making an image takes: what to paint, in how many steps, the button, and where it appears."""
    with gr.Row():
        with gr.Column(scale=5):
            prompt = gr.Textbox(show_label=False, lines=2, placeholder=ASKS, elem_id="txt2img_prompt")
            gr.Textbox(show_label=False, lines=1, placeholder=f"Negative {ASKS.lower().splitlines()[0]}")
        with gr.Column(scale=1, min_width=180):
            button = gr.Button("Generate", variant="primary", size="lg", elem_id="txt2img_generate")
    with gr.Row():
        with gr.Column(min_width=260):
            gr.Dropdown(["DPM++ 2M", "Euler a"], value="DPM++ 2M", label="Sampling method")
            steps = gr.Slider(1, 150, 20, step=1, label="Sampling steps", elem_id="txt2img_steps")
            gr.Slider(64, 2048, 512, step=8, label="Width")
        with gr.Column(min_width=260):
            result = gr.Image(show_label=False, height=270, elem_id="txt2img_result")
    return prompt, steps, button, result
