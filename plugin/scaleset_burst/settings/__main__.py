"""Write the pages that are made from the settings: `python -m scaleset_burst.settings docs/reference`."""

import sys
from pathlib import Path

from scaleset_burst.settings.reference import reference_page
from scaleset_burst.settings.schema import schema_text


def write(folder: Path) -> None:
    """Write the reference page and the JSON Schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.md").write_text(reference_page(), encoding="utf-8")
    (folder / "config.schema.json").write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
