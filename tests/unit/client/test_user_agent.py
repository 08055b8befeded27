"""The `User-Agent` (protocol 4.1)."""

import json

from scaleset_client import UserAgent


def test_it_is_one_line_of_json_with_the_names_the_service_knows() -> None:
    """Whatever it is made of, it is a legal header."""
    text = UserAgent(system="my\r\nsystem \u00fc", version="1", commit_sha="c", scale_set_id=42, subsystem="s").header()
    assert text.isascii()
    assert text.isprintable()
    parsed = json.loads(text)
    assert set(parsed) == {
        "system",
        "version",
        "commit_sha",
        "scale_set_id",
        "subsystem",
        "build_version",
        "build_commit_sha",
        "kind",
    }
    assert (parsed["kind"], parsed["scale_set_id"]) == ("scaleset", 42)
