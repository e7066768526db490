import pytest
from helpers import Inbox, check_books, settle
from iris import Runtime, errors


def test_a_name_finds_its_actor(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    assert rt.whereis("svc") is None
    rt.register("svc", pid)
    rt.register("svc", pid)
    assert rt.whereis("svc") == rt.resolve("svc") == pid
    assert rt.send_named("svc", b"hello") is True
    assert inbox.wait(1) == [b"hello"]
    assert rt.unregister("svc") is True
    assert rt.unregister("svc") is False
    assert rt.send_named("svc", b"lost") is False
    settle(rt)
    assert check_books(rt)["refused"]["no_such_actor"] == 1


def test_a_taken_name_says_who_holds_it(rt: Runtime, inbox: Inbox) -> None:
    holder, other = rt.spawn(inbox), rt.spawn(inbox)
    rt.register("svc", holder)
    with pytest.raises(errors.NameTaken, match=f"'svc'|\"svc\".*{holder}"):
        rt.register("svc", other)
    rt.stop(holder)
    assert rt.whereis("svc") is None
    rt.register("svc", other)
    assert rt.whereis("svc") == other


def test_an_actor_may_hold_many_names_and_leaves_none(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    names = [f"n{i}" for i in range(50)]
    for name in names:
        rt.register(name, pid)
    assert rt.get_metrics()["names"] == 50
    rt.kill(pid)
    assert rt.get_metrics()["names"] == 0
    assert all(rt.whereis(name) is None for name in names)


def test_the_dead_get_no_name(rt: Runtime, inbox: Inbox) -> None:
    pid = rt.spawn(inbox)
    rt.stop(pid)
    with pytest.raises(KeyError, match=f"pid {pid}"):
        rt.register("late", pid)


@pytest.mark.parametrize("name", ["x", "é" * 512, "with space/and\nnewline", "\0"])
def test_odd_names_are_names(rt: Runtime, inbox: Inbox, name: str) -> None:
    pid = rt.spawn(inbox)
    rt.register(name, pid)
    assert rt.whereis(name) == pid


@pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513, "\udc80"])
def test_bad_names_are_refused(rt: Runtime, inbox: Inbox, name: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        rt.register(name, rt.spawn(inbox))
