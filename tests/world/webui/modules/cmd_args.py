"""The stand-in's command line: A1111's names (modules/cmd_args.py of v1.10.1), those that the launcher may use."""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--data-dir", type=str, default=".")
parser.add_argument("--server-name", type=str, default=None)
parser.add_argument("--port", type=int, default=7860)
parser.add_argument("--ckpt", type=str, default=None)
parser.add_argument("--ckpt-dir", type=str, default=None)
parser.add_argument("--clip-models-path", type=str, default=None)
parser.add_argument("--api", action="store_true")
parser.add_argument("--share", action="store_true")
parser.add_argument("--no-hashing", action="store_true")
parser.add_argument("--use-cpu", nargs="+", default=[])
for name in (
    "--no-half", "--lowram", "--medvram", "--medvram-sdxl", "--opt-sdp-attention", "--no-download-sd-model", "--skip-torch-cuda-test",
    "--skip-python-version-check", "--skip-prepare-environment", "--skip-install", "--enable-insecure-extension-access",
    "--disable-nan-check", "--do-not-download-clip", "--disable-all-extensions", "--disable-extra-extensions",
):  # fmt: skip
    parser.add_argument(name, action="store_true")
