"""What the site needs beside its pages: the README is its front page; files of the checkout are named, not linked."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?!https?://|docs/|#)[^)]*\)")
"""In the README, a link that leads neither into docs/ nor to another place."""
REFERENCE = re.compile(r"(?m)^\[([^\]]+)\]: (?!https?://).*\n")
"""The same, where a link's end stands below the paragraph."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the front page."""
    readme = (Path(config.config_file_path).parent / "README.md").read_text(encoding="utf-8")
    text = OUTSIDE.sub(r"\1", REFERENCE.sub("", readme)).replace("](docs/", "](")
    for named in REFERENCE.findall(readme):
        text = text.replace(f"[{named}]", named)
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name a file of the checkout as text."""
    return re.sub(r"\[([^\]]+)\]\(\.\./\.\./[^)]+\)", r"\1", markdown)
