"""A site's profile: what an instance has to know of a page, as data."""

from typing import Literal

from arenad.schema.base import Record


class Landmarks(Record):
    """CSS selectors of the things on the page. `{model}` stands for the wanted model's name."""

    prompt: str
    send: str
    stop: str
    new_chat: str
    model_picker: str
    model_option: str
    model_chosen: str


class StreamRules(Record):
    """Which of the page's own requests carries the answer, and in which grammar."""

    url_pattern: str
    method: str = "POST"
    grammar: Literal["arena-lines"] = "arena-lines"


class ModelRules(Record):
    """Where the page's HTML names its models: a JSON list behind this key, escaped or not."""

    anchor: str


class Profile(Record):
    """One site. `dismiss` are dialogs of the site's own that are agreed to when they show."""

    version: int
    name: str
    start_path: str
    landmarks: Landmarks
    stream: StreamRules
    models: ModelRules
    dismiss: tuple[str, ...] = ()
