from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import Message, Sampling, StoreError
from lpt_synth.store import Store
from lpt_synth.types import Completion, Failure, Model, Reply, Request


def a_request(
    text: str = "hello", *, n: int = 3, item: str = "i", model: str = "m", prompt: str = "p"
) -> Request:
    return Request.make(
        stage="think",
        role="thinker",
        item=item,
        messages=(Message.of("user", text),),
        sampling=Sampling(temperature=0.7),
        n=n,
        prompt=prompt,
        model=Model(model),
    )


def put(store: Store, request: Request, samples: list[int], *outcomes: Completion | Failure) -> None:
    asyncio.run(store.put(request, samples, Reply(outcomes, input_tokens=5, output_tokens=7), cost=0.5))


def test_what_was_put_is_there_for_another_connection_at_once(tmp_path: Path) -> None:
    path, request = tmp_path / "s.sqlite", a_request()
    with Store.open(path, create=True) as store:
        put(store, request, [0, 2], Completion("a", "length"), Failure("server", "gone", 500))
        with Store.open(path) as other:
            assert other.get(request.key) == {0: Completion("a", "length"), 2: Failure("server", "gone", 500)}
            assert other.outcomes(request) == [
                Completion("a", "length"),
                None,
                Failure("server", "gone", 500),
            ]


def test_a_failure_is_replaced_by_a_completion_and_never_the_other_way(tmp_path: Path) -> None:
    request = a_request()
    with Store.open(tmp_path / "s", create=True) as store:
        put(store, request, [0], Failure("server", "x", 500))
        put(store, request, [0], Completion("a"))
        put(store, request, [0], Failure("server", "y", 500))
        put(store, request, [0], Completion("b"))
        assert store.get(request.key) == {0: Completion("a")}


def test_usage_adds_up_over_calls(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        put(store, a_request(), [0, 1], Completion("a"), Completion("b"))
        put(store, a_request(), [2], Completion("c"))
        (usage,) = store.usage()
    assert (usage.stage, usage.calls, usage.samples, usage.sent) == ("think", 2, 3, 2)
    assert (usage.input_tokens, usage.output_tokens, usage.cost) == (10, 14, 1.0)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=4))
def test_any_text_a_model_can_write_is_kept(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "any.sqlite"
    path.unlink(missing_ok=True)
    request = a_request(n=len(texts))
    with Store.open(path, create=True) as store:
        put(store, request, list(range(len(texts))), *map(Completion, texts))
        kept = [outcome.text for outcome in store.outcomes(request) if isinstance(outcome, Completion)]
    # Lone surrogates, which no UTF-8 file can hold, are the one thing that is replaced.
    assert kept == [text.encode("utf-8", "replace").decode() for text in texts]


def test_why_an_item_is_asked_again_is_told_by_what_differs(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        put(store, a_request("old", prompt="p1"), [0], Completion("a"))
    with Store.open(tmp_path / "s") as store:
        new = a_request("new", prompt="p2")
        (other,) = store.others_of(new)
        assert {name for name in other if other[name] != new.parts[name]} == {"prompt"}
        asyncio.run(store.count_again("think", "prompt changed"))
        asyncio.run(store.count_again("think", "prompt changed"))
        assert store.asked_again() == [("think", "prompt changed", 2)]


def test_seals_belong_to_a_plan(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        asyncio.run(store.put_seal("caption", "plan", {"mcq.kept": 3}))
        assert store.seal("caption", "plan") == {"mcq.kept": 3}
        assert store.seal("caption", "another plan") is None


def test_the_mark_changes_with_every_call(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        before = store.mark()
        put(store, a_request(), [0], Completion("a"))
        assert store.mark() != before


def test_a_store_that_cannot_write_fails_this_and_every_later_put(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Store.open(path, create=True) as store:
        put(store, a_request(), [0], Completion("a"))
        blocker = sqlite3.connect(path)
        blocker.execute("DROP TABLE outcomes")  # what a full disk does to a write, without filling a disk
        blocker.commit()
        blocker.close()
        for text in ("b", "c"):
            with pytest.raises(StoreError, match="cannot be written"):
                put(store, a_request(text), [0], Completion(text))


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"not a database, but long enough to be told from one" * 40)
    with pytest.raises(StoreError, match="cannot be used as a store"):
        Store.open(path, create=True)


def test_a_store_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "s"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        Store.open(path)


def test_a_missing_store_is_no_reason_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        Store.open(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_what_put_returned_for_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    program = textwrap.dedent(
        """
        import asyncio, pathlib, sys
        from lpt_core import Message, Sampling
        from lpt_synth.store import Store
        from lpt_synth.types import Completion, Model, Reply, Request

        async def work(store, number):
            request = Request.make(stage="ask", role="asker", item=str(number),
                messages=(Message.of("user", str(number)),), sampling=Sampling(), n=1, prompt="p",
                model=Model("m"))
            await store.put(request, [0], Reply((Completion("t" * 2000),)))
            print(request.key, flush=True)

        async def main():
            store = Store.open(pathlib.Path(sys.argv[1]), create=True)
            for start in range(0, 100000, 50):
                await asyncio.gather(*(work(store, start + i) for i in range(50)))

        asyncio.run(main())
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [child.stdout.readline().strip() for _ in range(500)]
    os.kill(child.pid, signal.SIGKILL)
    told += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.stdout.close()
    child.wait()
    with Store.open(path) as store:
        assert all(store.get(key) for key in told)
