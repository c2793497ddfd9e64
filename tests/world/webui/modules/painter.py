"""What the stand-in paints."""

import hashlib

from PIL import Image


def picture(prompt: str) -> Image.Image:
    """One colour for each prompt."""
    return Image.new("RGB", (64, 64), f"#{hashlib.sha256(prompt.encode()).hexdigest()[:6]}")
