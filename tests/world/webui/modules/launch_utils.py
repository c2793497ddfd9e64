"""Where A1111 v1.10.1 names its sub-repositories; the world writes its own commits in place of the marks."""

import os

assets_repo = os.environ.get("ASSETS_REPO", "https://github.com/AUTOMATIC1111/stable-diffusion-webui-assets.git")
stable_diffusion_repo = os.environ.get("STABLE_DIFFUSION_REPO", "https://github.com/Stability-AI/stablediffusion.git")
stable_diffusion_xl_repo = os.environ.get("STABLE_DIFFUSION_XL_REPO", "https://github.com/Stability-AI/generative-models.git")
k_diffusion_repo = os.environ.get("K_DIFFUSION_REPO", "https://github.com/crowsonkb/k-diffusion.git")
blip_repo = os.environ.get("BLIP_REPO", "https://github.com/salesforce/BLIP.git")

assets_commit_hash = os.environ.get("ASSETS_COMMIT_HASH", "@ASSETS@")
stable_diffusion_commit_hash = os.environ.get("STABLE_DIFFUSION_COMMIT_HASH", "@STABLE_DIFFUSION@")
stable_diffusion_xl_commit_hash = os.environ.get("STABLE_DIFFUSION_XL_COMMIT_HASH", "@STABLE_DIFFUSION_XL@")
k_diffusion_commit_hash = os.environ.get("K_DIFFUSION_COMMIT_HASH", "@K_DIFFUSION@")
blip_commit_hash = os.environ.get("BLIP_COMMIT_HASH", "@BLIP@")
