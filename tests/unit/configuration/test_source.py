"""A configuration file is read within limits, and what is wrong with it has a line."""

import io
from pathlib import Path

import pytest

from scaleset_hookspecs import ConfigError, Problem
from scaleset_hookspecs.configuration.source import CONFIG_LIMIT, read_config, read_text


def refused(path: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    return problem


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "host.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_gives_the_mapping_with_its_file_and_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "github:\n  config_url: x\nplugins:\n  burst:\n    batch:\n      hedge: true\n")
    config = read_config(path)
    assert config["plugins"] == {"burst": {"batch": {"hedge": True}}}
    assert config.file == str(path)
    assert config.line(("plugins", "burst", "batch", "hedge")) == 6


def test_knows_keys_that_stand_twice(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "a: 1\nb: {c: 1, c: 2}\n"))
    assert config.duplicates == ((("b", "c"), 2),)


def test_merged_keys_are_no_duplicates(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "base: &b {x: 1}\nown:\n  <<: *b\n  x: 2\n"))
    assert config["own"] == {"x": 2}
    assert config.duplicates == ()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.yaml").found


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "Not a file" in refused(tmp_path).found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"a: \xff", "not UTF-8 at offset 3"),
        ("", "an empty file"),
        ("# nothing\n", "an empty file"),
        ("- a\n", "a list at the top"),
        ("text", "a str at the top"),
        ("a: " + "x" * CONFIG_LIMIT, "Longer than 1024 KiB"),
        ("a: " + "[" * 1000, "nested too deeply"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a: 2026-13-45\n", "a value that YAML cannot read"),
        ("a: \x00", "characters that YAML does not allow"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str | bytes, found: str) -> None:
    assert found in refused(written(tmp_path, text)).found


def test_a_syntax_error_has_its_line_and_column_and_no_excerpt(tmp_path: Path) -> None:
    problem = refused(written(tmp_path, "a: 1\nb: [hunter2\nc: }\n"))
    assert problem.line == 3
    assert "column" in problem.found
    assert "hunter2" not in str(problem)


def test_aliases_that_unfold_to_too_much_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases" in refused(written(tmp_path, "\n".join(lines))).found


def test_merges_that_unfold_to_too_much_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert "aliases" in refused(written(tmp_path, "\n".join(lines))).found


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert "aliases" in refused(written(tmp_path, "a: &a {b: *a}\n")).found


def test_files_of_settings_are_read_within_limits(tmp_path: Path) -> None:
    path = written(tmp_path, "secret\n")
    assert read_text(str(path)) == "secret\n"
    with pytest.raises(OSError, match="Not a file"):
        read_text(str(tmp_path))


def test_standard_input_is_a_file_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\nb: {c: 2, c: 3}\n")))
    config = read_config("-")
    assert (config["a"], config.line(("b",)), config.duplicates) == (1, 2, ((("b", "c"), 2),))
    assert config.file == "(standard input)"
