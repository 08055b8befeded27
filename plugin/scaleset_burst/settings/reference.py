"""The reference page of the settings, made from their declarations."""

from collections.abc import Iterator
from typing import Final

from pydantic.fields import FieldInfo

from scaleset_burst.settings.model import Settings
from scaleset_hookspecs.configuration import Section
from scaleset_hookspecs.configuration.accepts import accepts, is_duration, section_of
from scaleset_hookspecs.configuration.listing import show

__all__ = ["reference_page"]

_HEAD: Final = """\
# Settings

Everything the section `plugins.burst` of the host's YAML may say. This page is made from the code by
`python -m scaleset_burst.settings`; a test fails when the two differ.
[config.schema.json](config.schema.json) says the same to editors ([how](commands.md#check)), and
[examples/config.yaml](../../examples/config.yaml) shows every setting in its place.

- **Durations** read as `5m`, `250ms`, `1h30m` (units `d`, `h`, `m`, `s`, `ms`, largest first), or as a
  number of seconds; at most `36500d`.
- **Secrets** stand in the file by reference only: `{$env: NAME}` is an environment variable,
  `{$file: PATH}` a file of at most 64 KiB. A trailing line break is dropped. A secret written into the
  file itself is refused, and never shown. A token or key in a `$file` that GitHub refuses is read again.
- **Paths** that are relative start at the folder of the configuration file; `~/` is the home directory.
- **A section left out**, or left empty, has its defaults. Without `plugins.burst`, or with
  `enabled: false`, the plugin declines every request and nothing else of the section is looked at.
- **Problems** are reported all at once when the host starts, each with its file, line and key path, what
  was found and what is expected. `scaleset-burst check CONFIG` does the same without starting a host.
"""

_RULES: Final = """\
## Rules between settings

- `github`, or the host's own top-level `github` of the same shape, is required while `enabled` is true.
- Exactly one of `github.token` and `github.app`; an enterprise takes `token` only.
- `github.config_url` is `https://`; `http://` is for this machine only.
- `connections.warm` is at most `connections.max`.
- `connections.client_key` needs `connections.client_certificate`.
- `scale_sets.NAME.max_concurrency` is at most `batch.max_concurrency`, unless that is `auto`.
- No key stands twice.
"""


def reference_page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *_sections(Settings, ""), _RULES])


def _sections(section: type[Section], above: str) -> Iterator[str]:
    title = above.rstrip(".") or "plugins.burst"
    yield f"## `{title}`\n\n{section.__doc__ or ''}\n"
    plain = [(name, field) for name, field in section.model_fields.items() if not _is_section(field)]
    yield "| setting | default | accepts | meaning |\n| --- | --- | --- | --- |"
    yield "\n".join(_line(above + name, field) for name, field in plain) + "\n"
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            by_name = "" if _is_section(field) else "NAME."
            yield from _sections(inner, f"{above}{name}.{by_name}")


def _is_section(field: FieldInfo) -> bool:
    return section_of(field) is not None and accepts(field) == "a section"


def _line(path: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"`{show(field.default, duration=is_duration(field))}`"
    if default == "`none`":
        default = "none"
    accepted = accepts(field).replace(" such as `5m`, `250ms` or a number of seconds", "")
    return f"| `{path}` | {default} | {accepted} | {field.description} |"
