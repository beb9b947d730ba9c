"""What children tell, taken or distrusted: real processes that act, in a program of its own."""

import pytest
from master_program import SUPERVISOR, run_master


def test_last_words_tell_the_reason():
    """What a worker said before its end stands in its last death."""
    found = run_master(SUPERVISOR + """
acts(worker="hello ready broken say die")
begin()
run_until(lambda: boss.child("w1").last_death)
say(last=boss.child("w1").last_death, log=[line.text for line in boss.ledger.log][:1])
leave()
""")  # fmt: skip
    assert found["last"] == "the page is gone; exit code 3"
    assert found["log"] == ["said by a child"]


@pytest.mark.parametrize(
    ("acts", "said"),
    [
        ("old-hello", "it is not the one we started"),
        ("hello command", "a worker commands Scale"),
        ("garbage deaf", "broke the protocol"),
    ],
)
def test_a_child_that_breaks_the_rules_is_ended_loudly(acts: str, said: str):
    """Only the child is ended; the daemon and its plan go on."""
    found = run_master(SUPERVISOR + f"""
keeper.LINKLESS_S = 0.1
acts(worker={acts!r})
begin()
run_until(lambda: boss.child("w1") and boss.child("w1").last_death)
say(last=boss.child("w1").last_death, wanted=boss.wanted, said=len(told({said!r})))
leave()
""")  # fmt: skip
    assert found["last"] == "killed by SIGKILL"
    assert found["wanted"] == 3
    assert found["said"]


def test_frontends_are_told_of_another_way() -> None:
    """They judge ways by the failures of all instances on them; a beat that changes none is none."""
    found = run_master(SUPERVISOR + """
acts(worker="hello ready well rerouted rerouted")
begin()
before, sent = boss.send_roster, []
def send_roster():
    before()
    sent.append([child.seat(1).proxy for child in (boss.child("w1"),) if child and child.seat(1)])
boss.send_roster = send_roster
run_until(lambda: sent[-1:] == [["lisbon"]])
count = len(sent)
run_until(lambda: boss.child("w3") and boss.child("w3").beat.proxy)
say(seen=["lisbon"] in sent, ways=[each.proxy for each in boss.state().children if each.proxy])
leave()
""")  # fmt: skip
    assert found["seen"]
    assert set(found["ways"]) == {"lisbon"}
