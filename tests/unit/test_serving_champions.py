"""Champions come into service and go without a request being lost; what does not load changes nothing."""

import datetime as dt
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.online import NEWEST, add_version, copied_lake, crown, crowned_lake, online, pipeline_of, record_of
from tests.support.trained import REGION, shared

from propensity.contracts import FEATURES
from propensity.models import registry
from propensity.serving.regions import Refresher


@pytest.fixture
def lake(tmp_path):
    return crowned_lake(tmp_path)


def region_of(service, path="/v1/regions", region=REGION):
    told = service.get(path).json()
    return next(r for r in (told if isinstance(told, list) else told["regions"]) if r["region"] == region)


def asked(service, record):
    told = service.post("score", {"features": record, "top_k": 3}).json()
    return told["version"], tuple(c["probability"] for c in told["categories"])


def metric(service, name):
    lines = service.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)}


def test_a_region_is_served_from_its_first_promotion_on(tmp_path):
    lake = copied_lake(tmp_path)
    service = online(lake)
    assert service.get("/ready").status_code == 503
    assert service.get("/health").json() == {"status": "alive"}
    assert "promoted" in region_of(service)["reason"]
    crown(lake, shared()[1].version, shared()[1].digest)
    service.regions.refresh()
    ready = service.get("/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    told = region_of(service, "/ready")
    assert (told["version"], told["digest"], told["reason"]) == (shared()[1].version, shared()[1].digest, None)
    assert told["categories"] == shared()[1].categories
    assert told["score_date"] == NEWEST.isoformat()
    assert not region_of(service, region="alps")["serving"]


def test_before_the_first_look_the_service_says_that_it_is_starting(lake):
    from tests.support.online import Online

    from propensity.serving.app import create_app
    from propensity.serving.regions import Regions

    regions = Regions(lake)
    service = Online(regions, create_app(regions))
    assert service.get("/ready").status_code == 503
    assert "starting" in service.post("score", {"features": {}}).json()["error"]


def test_a_new_champion_takes_over_and_the_old_one_can_come_back(lake):
    service = online(lake)
    record = record_of(pipeline_of(lake, shared()[1].version))
    first = asked(service, record)
    crown(lake, "second", add_version(lake, "second", shift=0.5))
    assert asked(service, record) == first, "nothing changes between refreshes"
    service.regions.refresh()
    second = asked(service, record)
    assert second[0] == "second"
    assert second[1] > first[1]
    crown(lake, first[0], shared()[1].digest)
    service.regions.refresh()
    assert asked(service, record) == first
    assert metric(service, "propensity_model_swaps_total") == {f'propensity_model_swaps_total{{region="{REGION}"}}': 3}
    (info,) = metric(service, "propensity_model_info")
    assert f'version="{first[0]}"' in info


def damage(folder, how):
    weights = folder / "weights.safetensors"
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif how == "flipped":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif how == "gone":
        shutil.rmtree(folder)
    elif how == "manifest":
        (folder / "pipeline.json").write_text("{}")


@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "manifest"])
def test_a_damaged_new_champion_leaves_the_old_one_in_service_until_it_is_mended(lake, how, caplog):
    service = online(lake)
    record = record_of(pipeline_of(lake, shared()[1].version))
    before = asked(service, record)
    digest = add_version(lake, "second", shift=0.5)
    folder = lake.config.home / "models" / REGION / "second"
    kept = shutil.copytree(folder, folder.with_name("kept"))
    damage(folder, how)
    crown(lake, "second", digest)
    for _ in range(2):
        service.regions.refresh()
        assert asked(service, record) == before
    told = region_of(service, "/ready")
    assert told["serving"]
    assert "champion second does not load" in told["reason"]
    assert service.get("/ready").status_code == 200
    lines = [r.getMessage() for r in caplog.records if "does not load" in r.getMessage()]
    assert len(lines) == 1, "one line, not one for each try"
    assert "\n" not in lines[0]
    assert list(metric(service, "propensity_model_load_failures_total").values()) == [2]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)
    service.regions.refresh()
    assert asked(service, record)[0] == "second"
    assert region_of(service)["reason"] is None


def test_a_first_champion_that_does_not_load_is_a_503_that_says_why(tmp_path):
    lake = copied_lake(tmp_path)
    crown(lake, "never made", "0" * 64)
    response = online(lake).post("score", {"features": {}})
    assert response.status_code == 503
    assert "no such bundle" in response.json()["error"]


def test_a_bundle_made_for_other_channels_is_not_served(lake):
    fields = lake.config.features.fields
    other = lake.config.features.model_copy(update={"fields": (fields[0].model_copy(update={"count": ()}), *fields[1:])})
    service = online(type(lake)(lake.config.model_copy(update={"features": other})))
    assert "other channels" in region_of(service)["reason"]


def test_a_lake_that_cannot_be_read_changes_nothing_and_is_counted(lake, caplog):
    service = online(lake)
    record = record_of(pipeline_of(lake, shared()[1].version))
    before = asked(service, record)
    champions = lake.config.home / "lake" / "champions" / "_delta_log"
    champions.rename(champions.with_name("elsewhere"))
    (champions.parent / "_delta_log").mkdir()
    (champions.parent / "_delta_log" / "00000000000000000000.json").write_text("not a log")
    service.regions.refresh()
    assert asked(service, record) == before
    assert list(metric(service, "propensity_refresh_failures_total").values()) == [1]
    assert "what is served stays" in caplog.text
    shutil.rmtree(champions)
    champions.with_name("elsewhere").rename(champions)
    service.regions.refresh()
    assert list(metric(service, "propensity_refresh_failures_total").values()) == [1]
    assert region_of(service)["reason"] is None


def test_newer_feature_rows_are_found_at_the_next_refresh(lake):
    service = online(lake)
    files = lake.files(FEATURES, region=REGION, score_date=NEWEST.isoformat())
    user = lake.read(FEATURES.name, files[0])["user_id"][0].as_py()
    assert service.post("score", {"user_id": user}).json()["score_date"] == NEWEST.isoformat()
    newer = {"region": REGION, "score_date": (NEWEST + dt.timedelta(days=1)).isoformat()}
    written = [
        lake.write(FEATURES, newer, f"{at:05d}-newer", lake.read(FEATURES.name, file).slice(0, 1), {})
        for at, file in enumerate(files)
    ]
    lake.commit(FEATURES, written, newer, {})
    service.regions.refresh()
    assert service.post("score", {"user_id": user}).json()["score_date"] == newer["score_date"]
    gone = lake.read(FEATURES.name, files[0])["user_id"][1].as_py()
    assert service.post("score", {"user_id": gone}).status_code == 404
    assert list(metric(service, "propensity_users_not_found_total").values()) == [1]


def test_the_memory_of_feature_files_is_bounded(lake, tmp_path):
    service = online(lake)
    cache = service.regions.cache
    files = lake.files(FEATURES, region=REGION)
    first = cache.read(lake, files[0])
    cache.limit = cache.size + first.size // 2
    for file in files[1:]:
        cache.read(lake, file)
        assert 0 < cache.size <= cache.limit
    assert cache.get(files[0]) is None
    cache.limit = 10
    small = cache.read(lake, files[0])
    assert small.users.equals(first.users)
    assert (cache.size, cache.get(files[0])) == (0, None)


def test_swaps_under_load_lose_nothing_and_mix_nothing(lake):
    service = online(lake)
    record = record_of(pipeline_of(lake, shared()[1].version))
    versions = {shared()[1].version: shared()[1].digest, "second": add_version(lake, "second", shift=0.5)}
    expected = {}
    for version, digest in versions.items():
        crown(lake, version, digest)
        service.regions.refresh()
        expected[version] = asked(service, record)[1]
    ended = threading.Event()

    def client(_):
        seen = []
        while not ended.is_set():
            seen.append(asked(service, record))
        return seen

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(client, at) for at in range(2)]
        for at in range(20):
            version = list(versions)[at % 2]
            crown(lake, version, versions[version])
            service.regions.refresh()
        ended.set()
        seen = [answer for done in clients for answer in done.result()]
    assert {version for version, _ in seen} == set(versions)
    assert all(expected[version] == probabilities for version, probabilities in seen)
    assert len(registry.history(lake, REGION)) == 23


def test_the_refresher_finds_a_promotion_by_itself(lake):
    service = online(lake)
    refresher = Refresher(service.regions, 0.01)
    refresher.start()
    try:
        crown(lake, "second", add_version(lake, "second", shift=0.5))
        found = threading.Event()
        for _ in range(3000):
            if service.regions.model(REGION)[0].version == "second":
                found.set()
                break
            threading.Event().wait(0.01)
        assert found.is_set()
    finally:
        refresher.stop()
