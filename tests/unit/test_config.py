"""Configuration: a wrong or missing key is one clear line that names file and key."""

import datetime as dt

import pytest
import yaml
from tests.support.shop import make_config

from propensity.config import check_regions, load_config, parse_date
from propensity.errors import ConfigError


def test_the_projects_own_configuration_loads(tmp_path):
    config = load_config("conf", tmp_path)
    assert config.region_names == ("north", "south")
    assert config.label_key == ("purchase", "category")
    assert config.home == tmp_path / "complete_journey"


def broken(tmp_path, section: str, path: list[object], value: object) -> str:
    """Set (or, with None, remove) one key and return the line that refuses it."""
    config = make_config(tmp_path)
    file = config.folder / f"{section}.yaml"
    content = yaml.safe_load(file.read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        load_config(config.folder, tmp_path / "home")
    line = str(caught.value)
    assert "\n" not in line
    assert f"{section}.yaml" in line
    return line


@pytest.mark.parametrize(
    ("section", "path", "value", "says"),
    [
        ("runtime", ["name"], None, "key name: Field required"),
        ("runtime", ["name"], "../../etc", "String should match pattern"),
        ("runtime", ["schedule", "strat"], "2025-01-01", "key schedule.strat: Extra inputs are not permitted"),
        ("regions", ["regions"], {}, "at least 1 item"),
        ("regions", ["regions", "Bad Name!"], {}, "Bad Name!"),
        ("tables", ["buckets"], 0, "key buckets: Input should be greater than or equal to 1"),
        ("tables", ["user_id"], "float", "'int64' or 'string'"),
        ("tables", ["first_day"], "2025-02-30", "key first_day"),
        ("tables", ["label", "field"], "colour", "no source has event_type order with field colour"),
        ("tables", ["events", 0, "require"], ["colour"], "require names ['colour']"),
        ("features", ["fields", 0, "count"], [30, 10], "ascending"),
        ("features", ["fields", 0, "count"], [10, 500], "window 500 exceeds history_days 120"),
        ("features", ["horizon_days"], 0, "horizon_days"),
        ("models", ["kind"], "oracle", "key kind: Input should be"),
        ("models", ["propensity_network", "dropout"], 1.5, "key propensity_network.dropout"),
        ("models", ["field_embedding"], {"max_epochs": 41}, "key field_embedding.max_epochs"),
        ("quality", ["events"], None, "key events: Field required"),
    ],
)
def test_a_wrong_key_is_one_line(tmp_path, section, path, value, says):
    assert says in broken(tmp_path, section, path, value)


def test_several_wrong_keys_are_counted(tmp_path):
    config = make_config(tmp_path)
    (config.folder / "models.yaml").write_text("{hiden: 3, epocs: 4}")
    with pytest.raises(ConfigError, match=r"\(2 in all\)"):
        load_config(config.folder, tmp_path)


@pytest.mark.parametrize("content", ["- a list", "key: [unclosed", "just text"])
def test_files_that_are_not_configuration(tmp_path, content):
    config = make_config(tmp_path)
    (config.folder / "models.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"models\.yaml"):
        load_config(config.folder, tmp_path)


def test_a_missing_file_or_folder_is_named(tmp_path):
    config = make_config(tmp_path)
    (config.folder / "quality.yaml").unlink()
    with pytest.raises(ConfigError, match=r"quality\.yaml: this file is missing"):
        load_config(config.folder, tmp_path)
    with pytest.raises(ConfigError, match="no such configuration folder"):
        load_config(tmp_path / "nowhere", tmp_path)


def test_configuration_is_frozen(tmp_path):
    config = make_config(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        config.models.seed = 3  # type: ignore[misc]


def test_regions_are_checked_by_name(tmp_path):
    config = make_config(tmp_path)
    assert check_regions(config, ()) == ("alps", "coast", "plains")
    assert check_regions(config, ("coast",)) == ("coast",)
    with pytest.raises(ConfigError, match=r"unknown region .*for example atlantis\. To do: choose from alps, coast, plains"):
        check_regions(config, ("coast", "atlantis"))


@pytest.mark.parametrize("text", ["2025-02-30", "yesterday", "", "2025-1-1T00:00", "20250101", "٢٠٢٥-٠١-٠١x"])
def test_impossible_dates(text):
    with pytest.raises(ConfigError, match="is not a date"):
        parse_date(text)


def test_a_digest_follows_its_sections_alone(tmp_path):
    one, other = make_config(tmp_path / "a"), make_config(tmp_path / "b", models={"propensity_network": {"hidden": 16}})
    assert one.digest("features", "tables") == other.digest("features", "tables")
    assert one.digest("models") != other.digest("models")


def test_channel_slots_are_ordered_by_kind_and_window(tmp_path):
    config = make_config(tmp_path)
    wanted = ("count_10", "count_30", "count_120", "days_10", "days_30", "days_120", "value_30", "recency", "interval")
    assert config.features.channel_names() == wanted


def test_closed_days_are_not_expected(tmp_path):
    config = make_config(tmp_path, tables={"closed_days": [dt.date(2025, 1, 3)]})
    days = config.tables.open_days(dt.date(2024, 12, 30), dt.date(2025, 1, 5))
    assert days == [dt.date(2025, 1, 1), dt.date(2025, 1, 2), dt.date(2025, 1, 4)]
