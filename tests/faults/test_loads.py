"""Loads that fail, hang or end the worker, at start and while an earlier load serves; and what a
new worker loads.
"""

from __future__ import annotations

import json
import shutil
import signal

import pytest

#: How a load goes wrong, and what is said of it.
LOADS = {
    "fails": "ValueError: no weights",
    "is false": "load() returned False",
    "ends": "the worker has ended (exit code 3)",
}


def extra(**values):
    return {"parameters": {"extra": values}}


def state(server, model):
    """What the index says of a model."""
    status, _, text = server.post("/v2/repository/index", b"{}")
    assert status == 200
    return next(each for each in json.loads(text) if each["name"] == model)


@pytest.mark.parametrize("how", LOADS)
def test_a_model_that_cannot_be_loaded_at_start_leaves_the_others_serving(begin, write_as, how):
    write_as("threaded")
    write_as("looped", **extra(load=how))
    server = begin(2, write=False, on_load_error="serve")
    found = state(server, "looped")
    assert (found["state"], LOADS[how] in found["reason"]) == ("UNAVAILABLE", True)
    assert not server.ready()
    assert not server.ready("looped")
    assert server.ready("threaded")
    assert server.ask().outcome == "ok"
    write_as("looped")
    assert server.post("/v2/repository/models/looped/load")[0] == 200
    server.check_whole()


def test_a_reload_that_fails_leaves_what_serves_as_it_is(begin, write_as, traffic, kill, until):
    """W28: workers that are started later load what serves, not what was tried last."""
    write_as("threaded", **extra(number=1))
    write_as("looped")
    server = begin(2, write=False)
    with traffic(server) as load:
        for how, reason in LOADS.items():
            write_as("threaded", **extra(number=2, load=how))
            status, _, text = server.post("/v2/repository/models/threaded/load")
            assert (status, reason in text) == (500, True)
            load.wait_for_all_workers()
            assert server.ask().number == 1
        for pid in server.pids():
            kill(pid)
            server.process.wait_for(f"(pid {pid}) has ended: killed by SIGKILL")
            load.wait_for_all_workers()
            assert server.ask().number == 1
        write_as("threaded", **extra(number=3))
        assert server.post("/v2/repository/models/threaded/load")[0] == 200
        assert server.ask().number == 3
        load.wait_for_all_workers()
        pid = server.pids()[0]
        kill(pid)
        server.process.wait_for(f"(pid {pid}) has ended: killed by SIGKILL")
        load.wait_for_all_workers()
    load.check()
    assert {each.number for each in load.answers if each.model == "threaded"} == {1, 3}
    assert not load.fell()
    server.check_whole()


def test_a_reload_that_hangs_holds_up_nothing(begin, traffic, until):
    server = begin(workers=2)
    with traffic(server) as load:
        server.file("hold").touch()
        for each in (server.folder / "threaded").glob("loading-*"):
            each.unlink()
        loading = server.in_thread(path="/v2/repository/models/threaded/load")
        until(lambda: list((server.folder / "threaded").glob("loading-*")))
        load.wait_for_answers()
        assert not loading.answered()
        assert server.ready()
        server.file("hold").unlink()
        assert loading.answer()[0] == 200
        load.wait_for_all_workers()
    load.check()
    assert not load.fell()
    server.check_whole()


def test_a_new_worker_takes_no_requests_before_it_has_loaded_the_models(
    begin, traffic, kill, until
):
    server = begin(workers=1)
    with traffic(server, models=("threaded",)) as load:
        server.file("hold").touch()
        (pid,) = server.pids()
        kill(pid)
        server.process.wait_for(f"(pid {pid}) has ended: killed by SIGKILL")
        (new,) = until(server.pids)
        server.wait_for_file(f"loading-{new}")
        assert not server.ready()
        assert not server.ready("threaded")
        assert server.ask().outcome == "unavailable"
        server.file("hold").unlink()
        load.wait_for_all_workers()
    load.check("unavailable")
    server.check_whole()


def test_a_model_whose_files_are_gone_is_not_ready_until_they_are_back(begin, traffic, kill, until):
    server = begin(workers=1)
    with traffic(server, models=("looped",)) as load:
        shutil.move(server.file("models.py"), server.file("away"))
        shutil.rmtree(server.file("__pycache__"), ignore_errors=True)
        (pid,) = server.pids()
        kill(pid)
        server.process.wait_for("tried again in")
        until(lambda: server.ready("looped"))
        assert not server.ready("threaded")
        assert not server.ready()
        assert server.ask().outcome == "unavailable"
        found = state(server, "threaded")
        assert found["state"] == "UNAVAILABLE"
        assert "models" in found["reason"]
        shutil.move(server.file("away"), server.file("models.py"))
        until(server.ready)
        assert server.ask().outcome == "ok"
        assert state(server, "threaded")["reason"] == ""
    load.check("unavailable")
    server.check_whole()


def test_the_models_of_a_pool_of_their_own_share_its_workers_and_end_them(begin, write_as, until):
    """W21, W22: the default pool stays, and there is one pool for each name."""
    gid = {"parameters": {"inference_pool_gid": "own"}}
    write_as("threaded")
    write_as("looped")
    write_as("one", "models.Threaded", **gid)
    write_as("two", "models.Threaded", **gid)
    server = begin(2, write=False, parallel_workers=1)
    assert server.ask(model="one").text == server.ask(model="two").text != server.ask().text
    for name in ("one", "two"):
        assert server.ask(model=name).outcome == "ok"
        assert server.post(f"/v2/repository/models/{name}/unload")[0] == 200
    until(lambda: len(server.pids()) == 1)
    assert server.ready()
    server.workers = 1
    server.check_whole()


def test_workers_that_do_not_end_hold_up_nobody(begin, write_as, traffic, kill, until):
    """W32: they are stopped, so that they cannot end, and go on when others were answered."""
    write_as("threaded")
    write_as("looped")
    write_as("one", "models.Threaded", parallel_workers=2)
    server = begin(3, write=False, parallel_workers=1)
    own = server.able("one")
    with traffic(server) as load:
        for pid in own:
            kill(pid, signal.SIGSTOP)
        unloading = server.in_thread(path="/v2/repository/models/one/unload")
        until(lambda: state(server, "one")["state"] == "UNLOADING")
        load.wait_for_answers()
        assert not unloading.answered()
        for pid in own:
            kill(pid, signal.SIGCONT)
        assert unloading.answer()[0] == 200
        until(lambda: not own & set(server.pids()))
    load.check()
    assert not load.fell()
    server.workers = 1
    server.check_whole()


def test_a_model_whose_load_ends_each_new_worker_is_left_out_and_the_others_serve(begin, write_as):
    """The code that a reload could not load is what a new worker reads, too."""
    write_as("threaded", **extra(number=1))
    write_as("looped")
    server = begin(1, write=False)
    code = server.file("models.py").read_text("utf-8")
    server.file("models.py").write_text(
        code.replace('how = told(self).get("load")', 'how = "ends"'), "utf-8"
    )
    assert server.post("/v2/repository/models/threaded/load")[0] == 500
    server.process.wait_for("'threaded' is tried again in 600 seconds, or when it is loaded anew")
    assert server.ready("looped")
    assert server.ask(model="looped").outcome == "ok"
    assert not server.ready("threaded")
    assert not server.ready()
    assert server.ask().outcome == "unavailable"
    reason = state(server, "threaded")["reason"]
    assert "workers in a row ended while the model was loaded: " in reason
    assert "exit code 3" in reason
    (pid,) = server.pids()
    write_as("threaded", **extra(number=3))
    assert server.post("/v2/repository/models/threaded/load")[0] == 200
    assert server.ask().number == 3
    assert server.pids() == [pid]
    server.check_whole()
