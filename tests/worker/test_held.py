"""What an instance can go on with: found once, bounded, the one used longest ago goes first."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.held import Shelf, SiteChat

ONE, TWO, THREE = (SiteChat(name, f"http://site/c/{name}", 1) for name in ("a", "b", "c"))


def test_a_chat_is_found_once() -> None:
    """By any of its keys; whoever takes it changes it, so nobody else finds it."""
    shelf = Shelf(2)
    shelf.put(ONE, ["k1", "k2"])
    assert shelf.keys == ("k1", "k2")
    assert shelf.take("k2") == ONE
    assert shelf.take("k1") is None
    assert shelf.take("") is None
    assert shelf.keys == ()


def test_the_one_used_longest_ago_goes_first() -> None:
    """Used is what was put back last."""
    shelf = Shelf(2)
    for chat, key in ((ONE, "k1"), (TWO, "k2")):
        shelf.put(chat, [key])
    assert shelf.take("k1") == ONE
    shelf.put(ONE, ["k3"])
    shelf.put(THREE, ["k4"])
    assert shelf.keys == ("k3", "k4")
    shelf.clear()
    assert shelf.keys == ()


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE]), st.text(max_size=2))))
def test_it_never_grows_beyond_its_limit(puts: list[tuple[SiteChat, str]]) -> None:
    """Whatever is put there, and what was put last is there."""
    shelf = Shelf(2)
    for chat, key in puts:
        shelf.put(chat, [key])
        assert len(shelf.keys) <= 2
        assert key in shelf.keys
