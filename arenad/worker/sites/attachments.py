"""Which files a message takes along, and whether the site takes them. A brain: no I/O."""

from collections.abc import Sequence

from arenad import media
from arenad.errors import InvalidRequest
from arenad.schema.chat import Attachment, Turn
from arenad.schema.process import Model
from arenad.schema.profile import Limits, Profile


def attached(
    turns: Sequence[Turn], profile: Profile, wanted: Sequence[str], models: Sequence[Model]
) -> tuple[Attachment, ...]:
    """The files of all turns that go into one message, in order.

    `wanted` are the models that are asked, one or two, of `models` that there are. A conversation
    that is folded takes the files of its earlier turns along. Raises
    `InvalidRequest` naming the field, the value and the remedy.
    """
    files = tuple(file for turn in turns for file in turn.attachments)
    if not files:
        return ()
    first = files[0].param
    if not (profile.attach or profile.landmarks.attach):
        told = f"is a file, and the profile {profile.name} names no way to attach one"
        raise InvalidRequest(f"{first}: {told}; leave it out", param=first)
    able = [each.id for each in models if "image_in" in each.capabilities]
    # Where the site says of no model that it takes images, it says nothing: then it is tried.
    if able and (blind := next((model for model in wanted if model not in able), "")):
        told = f"is {blind}, which takes no files; leave them out, or choose one of"
        raise InvalidRequest(f"model: {told} {', '.join(able)[:300]}", param="model")
    check(files, profile.limits)
    return files


def check(files: Sequence[Attachment], limits: Limits) -> None:
    """Raises `InvalidRequest` for what is over the site's limits."""
    if limits.files and len(files) > limits.files:
        told = (
            f"bring {len(files)} files, those of earlier turns too; the site takes {limits.files}"
        )
        raise InvalidRequest(f"messages: {told} at once; leave some out", param="messages")
    for file in files:
        size_bytes, most = len(file.content), limits.file_bytes
        if most and size_bytes > most:
            told = f"is {size_bytes} bytes; the site takes {most}; send a smaller file"
            raise InvalidRequest(f"{file.param}: {told}", param=file.param)
        if limits.file_types and not media.is_allowed(file.content_type, limits.file_types):
            told = f"is {file.content_type}; the site takes {', '.join(limits.file_types)}"
            raise InvalidRequest(f"{file.param}: {told}", param=file.param)
