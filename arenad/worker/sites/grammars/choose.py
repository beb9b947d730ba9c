"""The grammar that a profile names."""

from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites.grammars import gradio
from arenad.worker.sites.grammars.answer import Grammar
from arenad.worker.sites.grammars.arena_lines import ArenaLines
from arenad.worker.sites.grammars.dom import DomAnswer
from arenad.worker.sites.grammars.framing import (
    Envelopes,
    Frames,
    JsonLines,
    MakeFraming,
    ServerSentEvents,
    SocketIo,
    Whole,
)
from arenad.worker.sites.grammars.json_answers import GradioAnswers, JsonAnswers
from arenad.worker.sites.grammars.plain import FirstText, PlainText

OPENAI = AnswerRules(
    text="choices.0.delta.content",
    reasoning=("choices.0.delta.reasoning_content", "choices.0.delta.reasoning"),
    finish="choices.0.finish_reason",
)
"""Where `sse` looks when the profile does not say."""

_FRAMINGS: dict[str, MakeFraming] = {
    "sse": ServerSentEvents,
    "gradio": ServerSentEvents,
    "json-lines": JsonLines,
    "json-frames": Frames,
    "protobuf": Frames,
    "json": Whole,
    "socket-io": SocketIo,
    "connect-json": Envelopes,
    "connect-protobuf": Envelopes,
}


def grammar_of(rules: StreamRules, sides: str = "a") -> Grammar:
    """A fresh parser for one answer. `sides`: `a`, `b`, or `ab` for both of two."""
    if rules.transport == "dom":
        return DomAnswer(rules.signs)
    if rules.transport == "any":
        return FirstText(rules.signs)
    if rules.grammar == "arena-lines":
        return ArenaLines(sides, rules.signs)
    if rules.grammar == "ai-lines":
        return ArenaLines("", rules.signs)
    if rules.grammar == "text":
        return PlainText(rules.signs)
    kind, preset = (
        (GradioAnswers, gradio.ANSWER) if rules.grammar == "gradio" else (JsonAnswers, OPENAI)
    )
    answers = {"a": rules.answer or preset, "b": rules.answer_b or rules.answer or preset}
    return kind(rules, _FRAMINGS[rules.grammar](), tuple(answers[side] for side in sides))
