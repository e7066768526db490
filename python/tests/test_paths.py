import pytest
from helpers import Inbox, check_books, settle
from iris import Runtime, errors


def test_paths_list_in_the_order_of_their_bytes_by_whole_segments(
    rt: Runtime, inbox: Inbox
) -> None:
    pid = rt.spawn(inbox)
    for path in ["/a/bc", "/a/b/c/d", "/a/b", "/a/b-c", "/a/b/c/", "/b", "/a/b/a"]:
        rt.register_path(path, pid)
    assert rt.list_children("/a/b") == [("/a/b/a", pid), ("/a/b/c", pid), ("/a/b/c/d", pid)]
    assert [path for path, _ in rt.list_children_direct("/a/b/")] == ["/a/b/a", "/a/b/c"]
    assert [path for path, _ in rt.list_children_direct("/a")] == ["/a/b", "/a/b-c", "/a/bc"]
    assert rt.list_children_direct("/") == [("/b", pid)]
    everything = [path for path, _ in rt.list_children("/")]
    assert everything == sorted(everything)
    assert len(everything) == 7
    assert rt.list_children("/nowhere") == []
    assert rt.whereis_path("/a/b/") == pid
    info = rt.actor_info(pid)
    assert info is not None
    assert len(info.paths) == 7


def test_a_path_has_one_living_holder_and_ends_with_it(rt: Runtime, inbox: Inbox) -> None:
    a, b = rt.spawn(inbox), rt.spawn(inbox)
    rt.register_path("/svc/one", a)
    rt.register_path("/svc/one/", a)
    with pytest.raises(errors.NameTaken, match=f"/svc/one.*{a}"):
        rt.register_path("/svc/one", b)
    rt.stop(a)
    assert rt.whereis_path("/svc/one") is None
    with pytest.raises(errors.NoSuchActor):
        rt.register_path("/svc/one", a)
    rt.register_path("/svc/one", b)
    assert rt.unregister_path("/svc/one") is True
    assert rt.unregister_path("/svc/one") is False
    settle(rt)
    assert check_books(rt)["paths"] == 0


@pytest.mark.parametrize("wrong", ["", "a", "a/b", "//", "/a//b", "/a//", "/\0", "/" + "x" * 1024])
def test_what_is_no_path_is_refused(rt: Runtime, inbox: Inbox, wrong: str) -> None:
    pid = rt.spawn(inbox)
    for call in (
        lambda: rt.register_path(wrong, pid),
        lambda: rt.unregister_path(wrong),
        lambda: rt.whereis_path(wrong),
        lambda: rt.list_children(wrong),
        lambda: rt.list_children_direct(wrong),
    ):
        with pytest.raises(errors.InvalidPath) as caught:
            call()
        assert isinstance(caught.value, ValueError)
