"""The operator against small real programs: verdicts, refusals, kills."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from benchmarks.speed.day_airflow import job_seconds
from hypothesis import given
from hypothesis import strategies as st

from propensity_airflow.job_operator import ROOT, JobOperator, job_environment, options

VERDICT = "import sys, json, os; path = sys.argv[sys.argv.index('--verdict') + 1]\n"


@pytest.fixture
def operator(tmp_path):
    def make(body, arguments=None, **kwargs):
        (tmp_path / "tiny.py").write_text(VERDICT + textwrap.dedent(body))
        return JobOperator(task_id="tiny", job="tiny", arguments=arguments or {}, jobs_folder=str(tmp_path), **kwargs)

    return make


def run(operator, context=None):
    return operator.execute(context or {})


def test_the_verdict_comes_back_with_the_facts(operator):
    told = run(operator("json.dump({'rows': 3}, open(path, 'w'))", {"region": "north", "score_date": "2018-01-01", "stage": "x"}))
    assert told == {"region": "north", "score_date": "2018-01-01", "rows": 3}


def test_values_are_values_and_never_commands(operator, tmp_path):
    mark = tmp_path / "mark"
    nasty = f"$(touch {mark}); touch {mark} | `touch {mark}` --verdict=/etc/passwd"
    told = run(operator("json.dump({'got': sys.argv[1:-2]}, open(path, 'w'))", {"region": nasty}))
    assert told["got"] == [f"--region={nasty}"]
    assert not mark.exists()


def test_a_refusal_fails_for_good_with_the_jobs_line(operator):
    with pytest.raises(AirflowFailException, match=r"^no such day\. To do: land it$"):
        run(operator("print('working'); print('error: no such day. To do: land it', file=sys.stderr); sys.exit(2)"))


@pytest.mark.parametrize("status", [1, 3, 77])
def test_anything_else_is_retried(operator, status):
    with pytest.raises(AirflowException, match=f"status {status}: another writer") as caught:
        run(operator(f"print('error: another writer', file=sys.stderr); sys.exit({status})"))
    assert not isinstance(caught.value, AirflowFailException)


def test_a_crash_by_signal_is_retried(operator):
    with pytest.raises(AirflowException, match="status -9"):
        run(operator("os.kill(os.getpid(), 9)"))


@pytest.mark.parametrize("body", ["pass", "open(path, 'w').write('{')", "open(path, 'w').write('[1]')"])
def test_a_job_that_ends_well_without_a_verdict_is_not_believed(operator, body):
    with pytest.raises(AirflowException, match="verdict"):
        run(operator(body))


def test_a_challenger_that_is_refused_ends_as_skipped_with_its_reason(operator):
    pushed = {}
    context = {"ti": SimpleNamespace(xcom_push=pushed.__setitem__)}
    body = "json.dump({'promoted': False, 'reason': 'worse than popularity'}, open(path, 'w'))"
    with pytest.raises(AirflowSkipException, match="worse than popularity"):
        run(operator(body, {"region": "north"}, skip_unless="promoted"), context)
    assert pushed["reason"] == "worse than popularity"
    assert pushed["return_value"]["region"] == "north"


def test_the_event_carries_the_verdict(operator):
    asset = Asset("things")
    event = SimpleNamespace(extra={})
    body = "json.dump({'rows': 3, 'table': {'a': 1}, 'docs': None}, open(path, 'w'))"
    run(operator(body, {"region": "north"}, outlets=[asset]), {"outlet_events": {asset: event}})
    assert event.extra == {"region": "north", "rows": 3}


def test_output_goes_to_the_log_as_it_comes(operator, monkeypatch):
    body = "print('epoch 1'); os.write(1, b'\\xff\\n'); print('epoch 2', file=sys.stderr); json.dump({}, open(path, 'w'))"
    task, lines = operator(body), []
    monkeypatch.setattr(
        type(task), "log", SimpleNamespace(info=lambda text, *values: lines.append(text % values), warning=lambda *_: None)
    )
    run(task)
    assert lines[1:-1] == ["epoch 1", "\N{REPLACEMENT CHARACTER}", "epoch 2"]
    assert job_seconds(lines) > 0, "where a benchmark looks for what the job took"


def test_the_job_sees_none_of_airflows_keys(operator, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("_AIRFLOW__X", "secret")
    told = run(operator("json.dump({'seen': [k for k in os.environ if 'AIRFLOW' in k], 'cwd': os.getcwd()}, open(path, 'w'))"))
    assert told == {"seen": [], "cwd": str(ROOT)}
    assert job_environment({"PYTHONPATH": "/elsewhere"})["PYTHONPATH"].endswith("/elsewhere")


FAMILY = """
import subprocess, time, signal
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
open({told!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def caught(function, *arguments):
    with pytest.raises(AirflowException) as error:
        function(*arguments)
    return error.value


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_kill_ends_the_whole_group_even_who_does_not_listen(operator, tmp_path):
    told = tmp_path / "family"
    task = operator(FAMILY.format(told=str(told)))
    ends = []
    thread = threading.Thread(target=lambda: ends.append(caught(run, task)))
    thread.start()
    wait_for(lambda: told.exists() and told.read_text())
    task.on_kill()
    thread.join(20)
    assert "status -" in str(ends[0])
    for pid in told.read_text().split():
        wait_for(lambda pid=pid: gone(int(pid)))


def test_a_job_does_not_outlive_a_task_that_is_killed_without_a_word(tmp_path):
    told = tmp_path / "family"
    (tmp_path / "tiny.py").write_text(VERDICT + f"import time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    script = textwrap.dedent(f"""
        from propensity_airflow.job_operator import JobOperator
        JobOperator(task_id="tiny", job="tiny", arguments={{}}, jobs_folder={str(tmp_path)!r}).execute({{}})
    """)
    task = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: told.exists() and told.read_text(), 30)
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    wait_for(lambda: gone(int(told.read_text())))


def test_options_in_order():
    given_arguments = {"score_date": "2018-01-01", "regions": ["a", "b"], "force": True, "landing": None, "quiet": False, "n": 3}
    assert options(given_arguments) == ["--score-date=2018-01-01", "--regions=a,b", "--force", "--n=3"]


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), st.text(), max_size=5))
def test_each_value_arrives_as_it_is(arguments):
    found = dict(word[2:].split("=", 1) for word in options(arguments))
    assert found == {k.replace("_", "-"): v for k, v in arguments.items()}
    assert json.loads(json.dumps(found)) == found
