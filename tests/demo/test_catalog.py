"""The models on offer."""

from arenad.demo import catalog
from arenad.schema.config import DemoConfig


def test_ids_and_names_are_unique() -> None:
    """No two models share an id or a name, the upstream included."""
    entries = catalog.offered(DemoConfig(upstream_url="http://127.0.0.1:1/v1"))
    assert len({entry.id for entry in entries}) == len(entries)
    assert len({entry.public_name for entry in entries}) == len(entries)


def test_upstream_is_offered_only_where_configured() -> None:
    """Without an address there is nobody to ask."""
    assert catalog.UPSTREAM not in {entry.public_name for entry in catalog.offered(DemoConfig())}
    with_upstream = catalog.offered(DemoConfig(upstream_url="http://127.0.0.1:1/v1"))
    assert with_upstream[-1].public_name == catalog.UPSTREAM
