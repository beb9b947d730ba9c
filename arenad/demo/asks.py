"""Messages: what comes in, who answers, and the stream that goes out."""

import hashlib
from asyncio import TaskGroup
from collections.abc import AsyncGenerator
from typing import TypeVar

import msgspec
from aiohttp import web

from arenad.demo import accounts, faults, protocol, refusals, scenes
from arenad.demo.accounts import Accounts
from arenad.demo.catalog import Entry
from arenad.demo.chats import Chat, Chats, Message, find_answer, history
from arenad.demo.control import LIMIT_HEADERS, SCENE, Control, Scene
from arenad.demo.faults import FAULTS
from arenad.demo.generation import Ending, Generation
from arenad.demo.models import Piece
from arenad.demo.pen import Pen, hang_up
from arenad.demo.protocol import Ask, Mode, Refusal, Second
from arenad.demo.uploads import Uploads
from arenad.demo.voices import Voices
from arenad.log import wall_time_s

STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


class _Skip(msgspec.Struct, rename="camel"):
    message_a_id: str
    message_b_id: str
    model_a_message_id: str


class _Vote(msgspec.Struct, rename="camel"):
    evaluation_session_id: str
    vote: str


LONG_WINDED = ("demo-long", "demo-clock")
"""No battle is decided by 20,000 bytes, or by numbers, that nobody asked for."""

_Wish = TypeVar("_Wish")


class Asks:
    """One method for each route below a variant's stream path, and what pages read of chats."""

    def __init__(self, voices: Voices, control: Control, known: Accounts, uploads: Uploads) -> None:
        """No chat is known yet."""
        self._voices = voices
        self._control = control
        self._accounts = known
        self._uploads = uploads
        self._chats = Chats()
        self._running: dict[str, tuple[Generation, ...]] = {}

    def routes(self) -> list[web.RouteDef]:
        """The same below both prefixes; each variant answers below its own alone."""
        stream = r"/{prefix:api|nextjs-api}/stream"
        message = "{session}/messages/{message}"
        return [
            web.post(f"{stream}/create-evaluation", self.create),
            web.post(f"{stream}/post-to-evaluation/{{session}}", self.follow_up),
            web.post(f"{stream}/stop/{message}", self.stop),
            web.put(f"{stream}/retry-evaluation-session-message/{message}", self.retry),
            web.post(f"{stream}/skip-direct-battle/{{session}}", self.skip),
            web.get("/api/evaluation/{session}", self.history),
            web.post("/api/vote", self.vote),
        ]

    async def history(self, request: web.Request) -> web.Response:
        """A chat as JSON."""
        return _json(history(self._own_chat(request, request.match_info["session"])))

    async def create(self, request: web.Request) -> web.StreamResponse:
        """The first message of a new chat; answers with the stream."""
        scene = self._spoken(request)
        ask = protocol.read_create(await request.read(), self._rules(scene))
        scene, odd = self._refused(request, scene, ask, None)
        if odd is not None:
            return odd
        ask = self._cast(ask, scene, None)
        self._voices.check_room()
        self._chats.open(ask, scene.visitor)
        return await self._answer(request, scene, self._chats.get(ask.session))

    async def follow_up(self, request: web.Request) -> web.StreamResponse:
        """A later message of a chat; answers with the stream."""
        scene = self._spoken(request)
        chat = self._own_chat(request, request.match_info["session"])
        rules = self._rules(scene)
        ask = protocol.read_follow_up(await request.read(), chat.id, chat.mode, rules)
        scene, odd = self._refused(request, scene, ask, chat)
        if odd is not None:
            return odd
        ask = self._cast(ask, scene, chat)
        self._voices.check_room()
        self._chats.extend(ask)
        return await self._answer(request, scene, chat)

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Another answer in the place of one; answers with the stream."""
        scene = self._spoken(request)
        again = protocol.read_retry(await request.read())
        if again.model is not None:
            self._check_model(again.model, "direct")
        self._voices.check_room()
        chat = self._own_chat(request, request.match_info["session"])
        refusals.refuse(scene.faults)
        self._control.note_message()
        self._chats.retry(chat.id, request.match_info["message"], again)
        return await self._answer(request, scene, chat)

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a running answer, named by its own id or by that of the message it answers."""
        self._spoken(request)
        chat = self._own_chat(request, request.match_info["session"])
        find_answer(chat, request.match_info["message"])
        running = self._running.get(chat.id, ())
        for side in running:
            side.stop()
        return _json({"stopped": bool(running)})

    async def skip(self, request: web.Request) -> web.Response:
        """Of two answers in a direct chat, go on with the one that is named."""
        self._spoken(request)
        chat = self._own_chat(request, request.match_info["session"])
        wish = _decode(await request.read(), _Skip)
        self._chats.choose(chat.id, wish.model_a_message_id)
        self._control.tally["skips"] += 1
        return _json({"success": True})

    async def vote(self, request: web.Request) -> web.Response:
        """A vote, which reveals who spoke. Tests see in the tally that nobody casts one."""
        wish = _decode(await request.read(), _Vote)
        chat = self._own_chat(request, wish.evaluation_session_id)
        chat.is_revealed = True
        self._control.tally["votes"] += 1
        return _json(history(chat))

    # -- who may ask what -----------------------------------------------------------------------

    def _spoken(self, request: web.Request) -> Scene:
        """Raises `Refusal` (404) below a prefix that the variant does not speak."""
        scene = request[SCENE]
        if not request.path.startswith(scene.variant.stream + "/"):
            raise Refusal(404, "not found", f"this variant speaks below {scene.variant.stream}")
        return scene

    def _rules(self, scene: Scene) -> protocol.Rules:
        return scene.variant.rules(int(wall_time_s() * 1000))

    def _own_chat(self, request: web.Request, session: str) -> Chat:
        chat = self._chats.get(session)
        visitor = request[SCENE].visitor
        if chat.owner and chat.owner != visitor:
            self._control.tally["foreign"] += 1
            raise refusals.foreign(visitor or "anonymous", session)
        return chat

    def _refused(
        self, request: web.Request, scene: Scene, ask: Ask, chat: Chat | None
    ) -> tuple[Scene, web.Response | None]:
        """The scene with the prompt's own faults, and an answer that is no stream, if one is due.

        Raises `Refusal` for what the faults refuse.
        """
        _, marker = faults.split_marker(ask.prompt)
        own = faults.read(marker)
        if gate := next((name for name in own if FAULTS[name].stage == "gate"), None):
            raise Refusal(400, "bad fault", f"{gate}: cannot be asked for in a prompt")
        scene = scene._replace(faults={**scene.faults, **own})
        self._control.note_message()
        self._check_person(request, scene, ask)
        if "401-foreign" in scene.faults:
            raise refusals.foreign(scene.visitor or "anonymous", ask.session)
        if chat is not None and chat.prompts() >= scene.faults.get("full", float("inf")):
            raise refusals.full_chat()
        refusals.refuse(scene.faults)
        odd = refusals.odd(scene.faults)
        if odd is None:
            return scene, None
        headers = {"Content-Type": odd.content_type}
        return scene, web.Response(status=odd.status, text=odd.body, headers=headers)

    def _check_person(self, request: web.Request, scene: Scene, ask: Ask) -> None:
        """What only a person may do first: log in, agree, pass a check."""
        cookies, now_s = request.cookies, scene.now_s
        if "401-expired" in scene.faults:
            self._accounts.logins.forget(cookies.get(accounts.AUTH, ""))
            raise refusals.LOGIN_NEEDED
        walled = "login" in scene.faults and ask.mode != "battle"
        if walled and not self._accounts.is_logged_in(cookies, now_s):
            raise refusals.LOGIN_NEEDED
        if "403-terms" in scene.faults and not self._accounts.agreed.holds(scene.visitor, now_s):
            raise Refusal(403, "terms of use", "agree to the terms first")
        if "403-check" in scene.faults and not self._accounts.is_checked(cookies, now_s):
            self._control.tally["checks"] += 1
            raise Refusal(403, refusals.SCORE, refusals.CHECK_HINT)

    # -- who answers ----------------------------------------------------------------------------

    def _cast(self, ask: Ask, scene: Scene, chat: Chat | None) -> Ask:
        """The same, with every model and every file found. Raises `Refusal`."""
        mode: Mode = ask.mode
        if mode == "direct" and "direct-battle" in scene.faults:
            mode = "direct-battle"
            other = hashlib.sha256(ask.answer_message.encode()).hexdigest()
            ask = msgspec.structs.replace(ask, mode=mode, second=Second("", _uuid_of(other)))
        models = [ask.model] if ask.second is None else [ask.model, ask.second.model]
        seed = chat.id if chat is not None else ask.session
        for place, model in enumerate(models):
            if model:
                self._check_model(model, mode)
            else:
                listed = self._voices.listed(scene.variant.name)
                models[place] = _anonymous(listed, f"{seed}/{place}", ask, models[0])
        second = ask.second and Second(models[-1], ask.second.answer_message)
        files = tuple(self._uploads.attached(each) for each in ask.attachments)
        if files and not self._voices.by_id[models[0]].takes_files:
            raise Refusal(400, "bad attachment", "experimental_attachments: this model takes none")
        return msgspec.structs.replace(ask, model=models[0], second=second, files=files)

    def _check_model(self, model: str, mode: Mode) -> None:
        entry = self._voices.by_id.get(model)
        if entry is None:
            raise Refusal(400, "unknown model", f"modelAId: {model} is not in this site's list")
        if entry.organization is None and mode != "battle":
            raise refusals.REFUSALS["400-private"](0)

    # -- the stream -----------------------------------------------------------------------------

    async def _answer(self, request: web.Request, scene: Scene, chat: Chat) -> web.StreamResponse:
        limits = request.get(LIMIT_HEADERS, {})
        response = web.StreamResponse(headers=STREAM_HEADERS | limits)
        pen = Pen(response, scene.faults)
        answers = chat.pending()
        beat_s = scenes.beat_s(scene.faults)
        sides = tuple(Generation(pen, each.side, beat_s) for each in answers)
        self._running[chat.id] = sides
        counts = self._voices.counts
        counts.running += 1
        counts.started += 1
        ending: Ending = "left"
        try:
            await response.prepare(request)
            if "empty" not in scene.faults:
                ending = await self._perform(scene, chat, answers, sides, request)
            if pen.is_cut or "empty" in scene.faults:
                ending = "cut"
        finally:
            # A client that left cancels this very task: it ends here, as `left`.
            del self._running[chat.id]
            for answer, side in zip(answers, sides, strict=True):
                said = bytes(side.text), bytes(side.reasoning)
                self._chats.finish(chat, answer, *said, tuple(side.pictures))
            counts.running -= 1
            counts.end(ending)
        if pen.is_cut:
            hang_up(request)
        return response

    async def _perform(
        self,
        scene: Scene,
        chat: Chat,
        answers: tuple[Message, ...],
        sides: tuple[Generation, ...],
        request: web.Request,
    ) -> Ending:
        """Let every side speak, each at its own pace; the ending of the whole is side A's."""
        base = f"{request.scheme}://{request.host}"
        async with TaskGroup() as group:
            running = [
                group.create_task(
                    side.run(answer.id, _asked_bytes(chat), self._pieces(scene, chat, answer, base))
                )
                for answer, side in zip(answers, sides, strict=True)
            ]
        return running[0].result()

    def _pieces(
        self, scene: Scene, chat: Chat, answer: Message, base: str
    ) -> AsyncGenerator[Piece, None]:
        *before, newest = chat.conversation(answer)
        heard = newest._replace(text=faults.split_marker(newest.text)[0] or newest.text)
        name = self._voices.by_id[answer.model or ""].public_name
        pieces = self._voices.answer(name, (*before, heard))
        drawn = self._uploads.pictured(pieces, base, scene.faults)
        in_stream = {name for name in scene.faults if FAULTS[name].stage == "stream"}
        return scenes.staged(drawn, scene.faults, answer.side) if in_stream else drawn


def _anonymous(listed: tuple[Entry, ...], seed: str, ask: Ask, other: str) -> str:
    """A model for a side that names none: by its seed, and not the other's where there are two."""
    able = [
        entry.id
        for entry in listed
        if entry.modality == ask.modality
        if entry.takes_files == bool(ask.attachments)
        if entry.public_name not in LONG_WINDED
    ]
    others = [each for each in able if each != other] or able
    if not others:
        raise Refusal(400, "no model", f"modality: no {ask.modality} model takes files")
    digest = hashlib.sha256(seed.encode()).digest()
    return others[int.from_bytes(digest[:4]) % len(others)]


def _asked_bytes(chat: Chat) -> int:
    return len(next(each.text for each in reversed(chat.messages) if each.speaker == "user"))


def _uuid_of(digest: str) -> str:
    parts = (digest[:8], digest[8:12], "7" + digest[13:16], "8" + digest[17:20], digest[20:32])
    return "-".join(parts)


def _decode(body: bytes, kind: type[_Wish]) -> _Wish:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "bad body", str(error)) from None


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
