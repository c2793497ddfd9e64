"""Parts of a page in docs/ that a command writes: each stands between two equal marks."""

from pathlib import Path


def rewrite(page: Path, mark: str, text: str) -> None:
    """Replace what stands between two marks on the page. Raises `ValueError` where there are not just two."""
    head, _, tail = page.read_text().split(mark)
    page.write_text(f"{head}{mark}\n{text}\n{mark}{tail}")
