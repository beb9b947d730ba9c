"""A conversation in the manner of Weizenbaum's ELIZA (1966). Pure: the same talk, the same reply.

Rules are tried from the top; the first whose pattern is found in the newest turn answers. What it
caught is turned round ("my" becomes "your") and put into one of its replies, chosen by a hash of
the conversation, never the one said last. Where no rule fits, an earlier "my …" is taken up.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from arenad.demo.protocol import Turn

HEARD_LIMIT = 2_000
"""Characters of a turn that are listened to; more would not make a better reply."""

QUOTE_LIMIT = 120
"""Characters of what was said that are put back into a reply."""

RECALL_TURNS = 50
"""Earlier turns that are remembered."""

_REFLECTIONS = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "i'm": "you're",
    "i've": "you've",
    "i'll": "you'll",
    "i'd": "you'd",
    "am": "are",
    "you": "I",
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "you're": "I'm",
    "you've": "I've",
    "you'll": "I'll",
    "i was": "you were",
    "you are": "I am",
}


class Rule(NamedTuple):
    """What to listen for, and what may be said to it; `{0}` is the first thing caught."""

    heard: re.Pattern[str]
    replies: tuple[str, ...]


def _rule(pattern: str, *replies: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), replies)


_REST = r"\s+([^.!?…\n]+)"

RULES: tuple[Rule, ...] = (
    _rule(
        r"\bmy name is\s+([^\W\d_][\w'-]*)",
        "Good to meet you, {0}. What is on your mind?",
        "{0}, then. What brings you here, {0}?",
    ),
    _rule(
        r"\bwhat(?:'s| is) my name\b|\bwho am i\b",
        "{name_known}",
    ),
    _rule(
        r"^\W*(?:hello|hi|hey|good (?:morning|evening|day))\b",
        "Hello. How are you feeling today?",
        "Hi there. What would you like to talk about?",
        "Good to see you. What is on your mind?",
    ),
    _rule(
        r"\b(?:bye|goodbye|see you)\b",
        "Goodbye. Thank you for talking with me.",
        "Until next time. It was good to listen to you.",
    ),
    _rule(
        r"\bthank(?:s| you)\b", "You are welcome. Shall we go on?", "Gladly. What else is there?"
    ),
    _rule(
        r"\b(?:are you (?:a |an )?(?:human|real|robot|machine|bot|ai|computer|program))\b",
        "I am a few dozen rules in one small file. Does that change anything for you?",
        "I am a program from a simpler age. Why do you ask?",
    ),
    _rule(
        r"\b(?:computer|machine|robot|language model)s?\b",
        "Do machines worry you?",
        "What do you think machines have to do with your question?",
        "Why do you mention computers?",
    ),
    _rule(r"\bi need" + _REST, "Why do you need {0}?", "Would it really help you to get {0}?"),
    _rule(r"\bi want" + _REST, "What would it mean to you if you got {0}?", "Why do you want {0}?"),
    _rule(
        r"\bi(?:'m| am) (?:so |very |a bit )?(sad|unhappy|lonely|tired|worried|afraid)\b",
        "I am sorry to hear that you are {0}. How long has it been so?",
        "What do you think makes you {0}?",
        "When you are {0}, what helps a little?",
    ),
    _rule(
        r"\bi(?:'m| am) (?:so |very |really )?(happy|glad|proud|excited|content)\b",
        "How good to hear. What made you {0}?",
        "Is it easy for you to say that you are {0}?",
    ),
    _rule(
        r"\bi(?:'m| am)" + _REST,
        "How long have you been {0}?",
        "How do you feel about being {0}?",
        "Do you believe it is normal to be {0}?",
    ),
    _rule(
        r"\bi (?:feel|felt)" + _REST,
        "Tell me more about feeling {0}.",
        "Do you often feel {0}?",
        "When do you usually feel {0}?",
    ),
    _rule(
        r"\bi (?:can't|cannot|can not)" + _REST,
        "How do you know that you can't {0}?",
        "What would it take for you to {0}?",
    ),
    _rule(
        r"\bi (?:don't|do not)" + _REST,
        "Why don't you {0}?",
        "Would you like to {0}?",
    ),
    _rule(
        r"\bi (?:think|believe|guess)" + _REST,
        "Do you doubt that {0}?",
        "What makes you think so?",
        "But you are not sure that {0}?",
    ),
    _rule(
        r"\bi remember" + _REST, "Do you often think of {0}?", "What else does {0} bring to mind?"
    ),
    _rule(r"\bi dream(?:ed|t)?\b(?: of| about)?" + _REST, "What does {0} suggest to you?"),
    _rule(
        r"\bwhy don't you" + _REST,
        "Do you really think I don't {0}?",
        "Perhaps I will {0} one day.",
    ),
    _rule(r"\bwhy can't i" + _REST, "Do you think you should be able to {0}?"),
    _rule(
        r"\byou are" + _REST,
        "What makes you think I am {0}?",
        "Does it please you to believe that I am {0}?",
    ),
    _rule(r"\b(?:can|could) you" + _REST, "What if I could {0}?", "Why do you ask if I can {0}?"),
    _rule(
        r"\bbecause" + _REST,
        "Is that the real reason?",
        "What other reasons come to mind?",
        "If {0}, what else must be true?",
    ),
    _rule(
        r"\bmy (mother|father|mum|dad|sister|brother|wife|husband|son|daughter|family|friend)s?\b",
        "Tell me more about your {0}.",
        "What was it like with your {0}?",
        "How do you get on with your {0}?",
    ),
    _rule(
        r"\b(?:always|never|everyone|nobody)\b",
        "Can you think of one example?",
        "Really without any exception?",
    ),
    _rule(r"\bsorry\b", "There is no need to apologise.", "What do you feel when you apologise?"),
    _rule(
        r"^\W*(?:yes|yeah|yep|certainly|of course)\b",
        "You seem quite sure.",
        "I see. Can you say a little more?",
    ),
    _rule(r"^\W*(?:no|nope|not really)\b", "Why not?", "Are you saying no just to be careful?"),
    _rule(
        r"\b(?:what|how|why|when|who|where)\b.*\?",
        "What answer would please you most?",
        "What do you think?",
        "Why does that question matter to you?",
    ),
)

_RECALLS = (
    "Earlier you spoke of your {0}. Has that to do with this?",
    "Let us go back to your {0}.",
    "I keep thinking of your {0}. How is that connected?",
)
_NEUTRAL = (
    "Please go on.",
    "Tell me more about that.",
    "How does that make you feel?",
    "I see. And what does that tell you?",
    "Can you put that in other words?",
    "What comes to mind first when you say that?",
)
_OWN = re.compile(
    r"\bmy\s+(?!name\b)((?:(?:old|new|little|best|first|last|own)\s+)?[\w'-]+)", re.IGNORECASE
)
_NAME = RULES[0].heard
_TOKEN = re.compile(r"\bi was\b|\byou are\b|[\w']+", re.IGNORECASE)


def reply(conversation: Sequence[Turn]) -> str:
    """The reply to a conversation that ends with the user's turn."""
    heard = conversation[-1].text[:HEARD_LIMIT].replace("\u2019", "'")
    said = [turn.text for turn in conversation[:-1] if turn.speaker == "assistant"]
    choice = _choice_number(conversation)
    for rule in RULES:
        if caught := rule.heard.search(heard):
            subject = reflect(caught[1]) if rule.heard.groups and caught[1] else ""
            texts = [_fill(text, subject, conversation) for text in rule.replies]
            return _pick(texts, choice, said)
    memories = [text.format(memory) for memory in _memories(conversation) for text in _RECALLS]
    # Every second time a memory is taken up, so that the talk does not turn in a circle.
    if memories and len(said) % 2:
        return _pick(memories, choice, said)
    return _pick(_NEUTRAL, choice, said)


def reflect(phrase: str) -> str:
    """A phrase turned round, from the other one's mouth: "my cat and I" is "your cat and you"."""
    short = phrase.strip()[:QUOTE_LIMIT]
    return _TOKEN.sub(lambda word: _REFLECTIONS.get(word[0].lower(), word[0]), short)


def _fill(text: str, subject: str, conversation: Sequence[Turn]) -> str:
    if text == "{name_known}":
        name = _name(conversation)
        return f"You told me that your name is {name}." if name else "You have not told me yet."
    return text.replace("{0}", subject)


def _pick(texts: Sequence[str], choice: int, said: Sequence[str]) -> str:
    fresh = [text for text in texts if not said or text != said[-1]] or list(texts)
    return fresh[choice % len(fresh)]


def _choice_number(conversation: Sequence[Turn]) -> int:
    number = 0
    for turn in conversation:
        number = zlib.crc32(turn.text[:HEARD_LIMIT].encode(), number)
    return number


def _earlier(conversation: Sequence[Turn]) -> Iterator[str]:
    for turn in reversed(conversation[-1 - RECALL_TURNS : -1]):
        if turn.speaker == "user":
            yield turn.text[:HEARD_LIMIT].replace("\u2019", "'")


def _memories(conversation: Sequence[Turn]) -> list[str]:
    return [reflect(own[1]) for text in _earlier(conversation) for own in _OWN.finditer(text)]


def _name(conversation: Sequence[Turn]) -> str:
    return next((found[1] for text in _earlier(conversation) if (found := _NAME.search(text))), "")
