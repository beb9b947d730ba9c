"""A site's profile as data."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from arenad.schema.profile import Profile


@given(st.builds(Profile, version=st.integers(0, 99)))
def test_a_profile_makes_a_round_trip(profile: Profile) -> None:
    """By wire to the worker, by YAML from its file."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(profile), type=Profile) == profile
    assert msgspec.convert(msgspec.to_builtins(profile), Profile) == profile
