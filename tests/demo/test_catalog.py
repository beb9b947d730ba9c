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


def test_kinds_follow_from_what_is_given() -> None:
    """Image before search before chat; files go where pictures are taken."""
    kinds = {entry.public_name: entry.modality for entry in catalog.CATALOG}
    assert {name: kind for name, kind in kinds.items() if kind != "chat"} == {
        "demo-image": "image",
        "demo-search": "search",
    }
    takers = [entry.public_name for entry in catalog.CATALOG if entry.takes_files]
    assert takers == ["demo-files"]


def test_the_stealth_model_has_no_organization() -> None:
    """By that sign readers know a model that is not released; the demo's own list has none."""
    assert catalog.STEALTH.organization is None
    assert catalog.STEALTH not in catalog.CATALOG
