"""The versions of every package of the web UI's Python, and what nobody may move."""

from typing import Final

# A1111 v1.10.1, and the fingerprint of its requirements_versions.txt: what this lock was resolved for.
LOCKED_COMMIT: Final = "82a973c04367123ae98bd9abdf80d9eda9b910e2"
LOCKED_REQUIREMENTS: Final = "76d90436b579f3d7a5f6ff55657ffc56476e2dd0c2c79f09e2ceedc122d5db48"

# Every package for that file, torch 2.8.0 (T4 to Blackwell), and clip-anytorch in place of CLIP's zip, which no
# longer builds (AUTOMATIC1111#17284: setup.py imports pkg_resources, gone from setuptools 82).
LOCK: Final = """\
accelerate==0.21.0
aenum==3.1.17
aiofiles==23.2.1
aiohappyeyeballs==2.7.1
aiohttp==3.14.5
aiosignal==1.4.0
altair==5.5.0
antlr4-python3-runtime==4.9.3
anyio==3.7.1
attrs==26.1.0
blendmodes==2022
certifi==2026.10.18
charset-normalizer==3.5.2
clean-fid==0.1.35
click==8.5.1
clip-anytorch==2.6.0
contourpy==1.3.3
cycler==0.12.1
deprecation==2.1.0
diskcache==5.6.3
einops==0.4.1
facexlib==0.3.0
fastapi==0.94.0
ffmpy==1.0.0
filelock==4.2.11
filterpy==2.0.0
fonttools==4.68.0
frozenlist==1.8.0
fsspec==2026.9.0
ftfy==6.3.1
gitdb==4.0.12
gitpython==3.1.32
gradio==3.41.2
gradio-client==0.5.0
h11==0.12.0
hf-xet==1.8.0
httpcore==0.15.0
httpx==0.24.1
huggingface-hub==0.36.2
idna==3.20
imageio==2.38.1
importlib-resources==6.5.2
inflection==0.5.1
jinja2==3.1.6
jsonmerge==1.8.0
jsonschema==4.26.0
jsonschema-specifications==2025.9.1
kiwisolver==1.5.1
kornia==0.6.7
lark==1.1.2
lazy-loader==0.6
lightning-utilities==0.15.3
llvmlite==0.50.0
markupsafe==2.1.5
matplotlib==3.11.2
mpmath==1.3.0
multidict==7.2.1
narwhals==2.29.0
networkx==3.6.1
numba==0.68.1
numpy==1.26.2
nvidia-cublas-cu12==12.8.4.1
nvidia-cuda-cupti-cu12==12.8.90
nvidia-cuda-nvrtc-cu12==12.8.93
nvidia-cuda-runtime-cu12==12.8.90
nvidia-cudnn-cu12==9.10.2.21
nvidia-cufft-cu12==11.3.3.83
nvidia-cufile-cu12==1.13.1.3
nvidia-curand-cu12==10.3.9.90
nvidia-cusolver-cu12==11.7.3.90
nvidia-cusparse-cu12==12.5.8.93
nvidia-cusparselt-cu12==0.7.1
nvidia-nccl-cu12==2.27.3
nvidia-nvjitlink-cu12==12.8.93
nvidia-nvtx-cu12==12.8.90
omegaconf==2.2.3
open-clip-torch==2.20.0
opencv-python==4.11.0.86
orjson==3.13.0
packaging==26.3
pandas==2.3.3
piexif==1.1.3
pillow==9.5.0
pillow-avif-plugin==1.4.3
propcache==0.5.4
protobuf==3.20.0
psutil==5.9.5
pydantic==1.10.17
pydub==0.25.1
pyparsing==3.3.3
python-dateutil==4.0.0
python-multipart==0.0.34
pytorch-lightning==1.9.4
pytz==2026.6
pywavelets==1.9.0
pyyaml==6.0.3
referencing==0.37.0
regex==2026.11.15
requests==2.34.2
resize-right==0.0.2
rpds-py==2026.9.1
safetensors==0.4.2
scikit-image==0.21.0
scipy==1.16.3
semantic-version==2.10.0
sentencepiece==0.2.3
setuptools==69.5.1
smmap==5.0.3
sniffio==1.3.1
spandrel==0.3.4
spandrel-extra-arches==0.1.1
starlette==0.26.1
sympy==1.14.0
tifffile==2026.3.3
timm==0.9.5
tokenizers==0.13.3
tomesd==0.1.3
torch==2.8.0
torchdiffeq==0.2.3
torchmetrics==1.9.0
torchsde==0.2.6
torchvision==0.23.0
tqdm==4.70.1
trampoline==0.1.2
transformers==4.30.2
triton==3.4.0
typing-extensions==4.16.0
tzdata==2026.6
urllib3==2.8.0
uvicorn==0.54.0
wcwidth==0.9.4
websockets==11.0.3
yarl==1.25.1
"""

LOCKED_PACKAGES: Final = tuple(LOCK.split())

# What ControlNet v1.1.455 wants beside them, of versions that live with numpy 1.26 and protobuf 3.20 (facts/a1111.md §8).
CONTROLNET_LOCK: Final = """\
absl-py==2.5.1
addict==2.4.0
albumentations==1.4.3
cffi==2.1.1
cloudpickle==3.1.2
controlnet-aux==0.0.10
cssselect2==0.10.1
flatbuffers==25.12.19
fvcore==0.1.5.post20221221
importlib-metadata==10.2.0
iopath==0.1.10
joblib==1.6.0
lazy-importer==0.1.0
lxml==6.1.3
mediapipe==0.10.9
onnxruntime-gpu==1.26.0
opencv-contrib-python==4.11.0.86
opencv-python-headless==4.11.0.86
platformdirs==4.14.7
portalocker==4.4.2
pycparser==3.12
reportlab==5.1.0
scikit-learn==1.9.1
sounddevice==0.5.6
svglib==2.3.2
tabulate==0.10.0
termcolor==3.3.0
threadpoolctl==3.8.0
tinycss2==1.5.1
webencodings==0.6.1
wheel==0.48.0
yacs==0.1.8
yapf==0.43.0
zipp==4.1.2
"""

CONTROLNET_PACKAGES: Final = tuple(CONTROLNET_LOCK.split())

# What no extension's installer may move: numpy 2 or protobuf 7 and the next start dies (facts/a1111.md §8).
CONSTRAINTS: Final = """\
setuptools==69.5.1
torch==2.8.0
torchvision==0.23.0
numpy==1.26.2
protobuf==3.20.0
Pillow==9.5.0
pydantic==1.10.17
fastapi==0.94.0
gradio==3.41.2
transformers==4.30.2
httpx==0.24.1
httpcore==0.15
opencv-python==4.11.0.86
opencv-contrib-python==4.11.0.86
opencv-python-headless==4.11.0.86
timm==0.9.5
mediapipe==0.10.9
"""

BUILD_CONSTRAINTS: Final = "setuptools<82\n"  # old setup.py files import pkg_resources
