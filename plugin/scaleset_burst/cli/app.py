"""The commands. Each one's logic is in a module of its own, loaded when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="scaleset-burst",
    help="Bring up hundreds of GitHub Actions runners in the time it takes to bring up one.",
    epilog="Exit codes: 0 fine, 1 failed, 2 wrong usage or wrong configuration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PRUNE = "Options of prune"

bench = typer.Typer(help="Measure parts of the plugin on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The host's YAML file; `-` is standard input.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ScaleSetName = Annotated[
    str | None,
    typer.Option("--scale-set", metavar="NAME", help="The scale set to ask for, if the file names none."),
]
RunnerGroup = Annotated[str, typer.Option("--runner-group", metavar="NAME", help="Its runner group.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - for this option only

        typer.echo(f"scaleset-burst {version('scaleset-burst')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    del version


@app.command()
def check(
    config: ConfigFile,
    *,
    live: Annotated[bool, typer.Option("--live", help="Also ask the service, read-only.")] = False,
    scale_set: ScaleSetName = None,
    runner_group: RunnerGroup = "default",
    as_json: AsJson = False,
) -> None:
    """Say whether a configuration is right, and show the settings that hold; secrets are masked."""
    from scaleset_burst.cli.check import check as run  # noqa: PLC0415 - for this command only

    raise typer.Exit(run(config, live=live, as_json=as_json, scale_set=scale_set, runner_group=runner_group))


@app.command()
def doctor(
    config: ConfigFile,
    *,
    scale_set: ScaleSetName = None,
    runner_group: RunnerGroup = "default",
    as_json: AsJson = False,
) -> None:
    """Ask the service whether it is ready for a burst, and predict how long one takes. Changes nothing."""
    from scaleset_burst.cli.doctor import doctor as run  # noqa: PLC0415 - for this command only

    raise typer.Exit(run(config, as_json=as_json, scale_set=scale_set, runner_group=runner_group))


@app.command()
def mint(
    config: ConfigFile,
    scale_set: Annotated[str, typer.Argument(metavar="SCALE_SET", help="Name of the scale set.")],
    count: Annotated[int, typer.Argument(metavar="COUNT", min=1, help="How many.")],
    *,
    command: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Start this for each config instead of printing it."),
    ] = None,
    names: Annotated[
        typer.FileText | None,
        typer.Option(metavar="FILE", help="Names of the runners, one a line; `-` is standard input."),
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", "-n", min=1, help="Commands that run at once.")] = 16,
    runner_group: RunnerGroup = "default",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append what became of the burst to this, for `report`.")
    ] = None,
) -> None:
    """Mint a burst: a line of JSON for each config as it arrives. What nobody takes is undone."""
    from scaleset_burst.cli.mint import mint as run  # noqa: PLC0415 - for this command only
    from scaleset_hookspecs import ScaleSetRef  # noqa: PLC0415 - for this command only

    wanted = ScaleSetRef(name=scale_set, runner_group=runner_group)
    chosen = None if names is None else tuple(line.strip() for line in names if line.strip())
    raise typer.Exit(run(config, wanted, count, names=chosen, command=command, at_once=at_once, report=report))


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.jsonl [OTHER.jsonl]", help="What `--report` wrote.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path("burst.html"),
) -> None:
    """Draw a burst as a page: runners over time, where the seconds went, every mint. Two files stand side by side."""
    from scaleset_burst.cli.report.command import report as run  # noqa: PLC0415 - for this command only

    if len(files) > 2:
        raise typer.BadParameter(f"found {len(files)} files; expected one, or two to be shown side by side")
    raise typer.Exit(run(files, output))


@app.command()
def runners(
    config: ConfigFile,
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCALE_SET] [prune]", help="Of this scale set only; `prune` removes ghosts."),
    ] = None,
    *,
    as_json: AsJson = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; else only say which.", rich_help_panel=PRUNE)
    ] = False,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Ghosts are registered this long.", rich_help_panel=PRUNE)
    ] = "1h",
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Names that begin so are ours, too.", rich_help_panel=PRUNE),
    ] = None,
) -> None:
    """Show what is registered; `prune`: remove what is offline, ours and old. Never a busy or online runner."""
    from scaleset_burst.cli import runners as command  # noqa: PLC0415 - for this command only
    from scaleset_hookspecs.configuration import parse_duration  # noqa: PLC0415 - for this command only

    words = rest or []
    prunes = words[-1:] == ["prune"]
    names = words[: len(words) - prunes]
    only = names[0] if names else None
    if len(names) > 1:
        raise typer.BadParameter(f"found {' '.join(words)!r}; expected a scale set, `prune`, or both in this order")
    if not prunes:
        raise typer.Exit(command.list_runners(config, only, as_json=as_json))
    try:
        seconds = parse_duration(older_than)
    except ValueError as error:
        raise typer.BadParameter(f"found {older_than!r}; expected {error}", param_hint="--older-than") from error
    raise typer.Exit(command.prune(config, only, prefix=prefix, older_than=seconds, yes=yes))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the section `plugins.burst`."""
    from scaleset_burst.settings.schema import schema_text  # noqa: PLC0415 - for this command only

    sys.stdout.write(schema_text())


@bench.command()
def cache(*, as_json: AsJson = False) -> None:
    """Measure a warm answer beside a bare cachetools cache, and count the requests of a stampede."""
    from scaleset_burst.cli.bench_cache import run  # noqa: PLC0415 - for this command only

    raise typer.Exit(run(as_json=as_json))


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def simulate(context: typer.Context) -> None:
    """Run the Actions service as a simulator on this machine; `simulate --help` lists its options."""
    from scaleset_burst.cli.simulate import simulate as run  # noqa: PLC0415 - for this command only

    raise typer.Exit(run(context.args))
