"""What holds for one scale set."""

from scaleset_burst.settings import BatchSettings, ScaleSetOverride, Settings


def test_a_scale_set_that_is_not_named_has_the_common_settings() -> None:
    own = Settings(batch=BatchSettings(work_folder="w")).for_scale_set("linux")
    assert (own.enabled, own.name_prefix, own.work_folder, own.max_concurrency) == (True, "linux", "w", None)


def test_an_override_comes_before_the_common_settings() -> None:
    override = ScaleSetOverride(enabled=False, name_prefix="x", work_folder="y", max_concurrency=3)
    settings = Settings(batch=BatchSettings(name_prefix="common"), scale_sets={"linux": override})
    own, other = settings.for_scale_set("linux"), settings.for_scale_set("mac")
    assert (own.enabled, own.name_prefix, own.work_folder, own.max_concurrency) == (False, "x", "y", 3)
    assert (other.enabled, other.name_prefix) == (True, "common")


def test_an_empty_prefix_of_its_own_is_the_scale_sets_name() -> None:
    settings = Settings(
        batch=BatchSettings(name_prefix="common"), scale_sets={"linux": ScaleSetOverride(name_prefix="")}
    )
    assert settings.for_scale_set("linux").name_prefix == "linux"


def test_switched_off_is_off_for_every_scale_set() -> None:
    assert not Settings(enabled=False).for_scale_set("linux").enabled
