"""What the stand-in paints while it is filmed: mountains in the mist, whatever was asked for."""

import hashlib

import numpy as np
from PIL import Image, ImageFilter

SIDE = 512
SKY = ((0.0, (70, 84, 130)), (0.35, (214, 142, 132)), (0.55, (255, 205, 150)), (1.0, (255, 224, 184)))
FAR, NEAR = np.array((206, 158, 150)), np.array((28, 34, 58))
RIDGES = 6


def picture(prompt: str) -> Image.Image:
    chance = np.random.default_rng(int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16))
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    places, colours = [place for place, _ in SKY], np.array([colour for _, colour in SKY])
    image = np.stack([np.interp(y, places, colours[:, channel]) for channel in range(3)], axis=-1)
    sun = np.exp(-((x - 0.64) ** 2 + (y - 0.4) ** 2) / 0.012)[..., None]
    image = image * (1 - sun) + np.array((255, 246, 220)) * sun
    for number in range(RIDGES):
        near = number / (RIDGES - 1)
        top = 0.42 + 0.46 * near - (0.16 - 0.05 * near) * rise(chance, number + 3)
        below, depth = y > top[None, :], np.clip((y - top[None, :]) / 0.3, 0, 1)[..., None]
        mist = (0.55 * (1 - near) + 0.1) * depth
        slope = (FAR + (NEAR - FAR) * near**0.8) * (1 - mist) + np.array((255, 222, 190)) * mist
        image = np.where(below[..., None], slope, image)
    grain = image + chance.normal(0, 6, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).filter(ImageFilter.ModeFilter(5))


def rise(chance: np.random.Generator, hills: int) -> np.ndarray:
    """A ridge from the left to the right, 0 to 1."""
    line, x = np.zeros(SIDE), np.linspace(0, 1, SIDE)
    for octave in range(6):
        points = chance.random(hills * 2**octave + 1)
        line += np.interp(x, np.linspace(0, 1, len(points)), points) / 1.9**octave
    return (line - line.min()) / (line.max() - line.min())
