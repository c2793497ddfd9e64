"""Extensions that can be added by their name: each was used on the real AUTOMATIC1111 (docs/extensions.md)."""

from typing import Final

# NAME IN WORDS | OWNER/NAME on GitHub
KNOWN_TABLE: Final = """
ControlNet | Mikubill/sd-webui-controlnet
ADetailer | Bing-su/adetailer
Tag completion | DominikDoom/a1111-sd-webui-tagcomplete
Image browser | AlUlkesh/stable-diffusion-webui-images-browser
Infinite image browsing | zanllp/sd-webui-infinite-image-browsing
Civitai browser | BlafKing/sd-civitai-browser-plus
Civitai Helper | butaixianran/Stable-Diffusion-Webui-Civitai-Helper
ReActor | Gourieff/sd-webui-reactor
Dynamic prompts | adieyal/sd-dynamic-prompts
Regional prompter | hako-mikan/sd-webui-regional-prompter
Tiled diffusion | pkuliyi2015/multidiffusion-upscaler-for-automatic1111
Ultimate SD upscale | Coyote-A/ultimate-upscale-for-automatic1111
WD14 tagger | picobyte/stable-diffusion-webui-wd14-tagger
Remove background | AUTOMATIC1111/stable-diffusion-webui-rembg
Segment anything | continue-revolution/sd-webui-segment-anything
OpenPose editor | huchenlei/sd-webui-openpose-editor
Style selector | ahgsql/StyleSelectorXL
Dataset tag editor | toshiaki1729/stable-diffusion-webui-dataset-tag-editor
AnimateDiff | continue-revolution/sd-webui-animatediff
LoRA block weight | hako-mikan/sd-webui-lora-block-weight
Dynamic thresholding | mcmonkeyprojects/sd-dynamic-thresholding
Cutoff | hnmr293/sd-webui-cutoff
Inpaint anything | Uminosachi/sd-webui-inpaint-anything
"""
KNOWN_EXTENSIONS: Final = {
    name.strip(): f"https://github.com/{repository.strip()}.git"
    for name, _, repository in (line.partition("|") for line in KNOWN_TABLE.strip().splitlines())
}
# What one press adds, beside the upscaler.
USUAL_EXTENSIONS: Final = ("ADetailer", "Tag completion", "Image browser", "Civitai browser")
USUAL_MODELS: Final = ("4x-UltraSharp",)
