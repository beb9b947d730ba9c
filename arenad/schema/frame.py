"""The envelope: four kinds of frames carry one union of bodies.

A plain call is CALL then END; a stream has ITEMs between; the caller may CANCEL. A CALL with
number 0 is a note that gets no answer.
"""

import enum

import msgspec

from arenad.schema import chat, control, history, keys, process, view

Body = (
    chat.Chat
    | chat.Held
    | chat.AskHeld
    | chat.Began
    | chat.TextDelta
    | chat.ReasoningDelta
    | chat.Image
    | chat.Citation
    | chat.Heartbeat
    | chat.Finish
    | chat.SideFailed
    | chat.Failure
    | process.Hello
    | process.Welcome
    | process.Ready
    | process.ModelsAre
    | process.Alive
    | process.SessionIs
    | process.Beat
    | process.Renew
    | process.Forget
    | process.FrontendBeat
    | process.LogLine
    | process.Roster
    | process.Drain
    | process.Drained
    | process.Stop
    | control.GetState
    | control.Watch
    | control.Scale
    | control.Restart
    | control.DrainOne
    | control.RenewOne
    | control.ForgetSession
    | control.Reset
    | control.GetStory
    | control.StoryOf
    | control.Reload
    | control.Reloaded
    | control.Upgrade
    | control.Shutdown
    | control.Logs
    | control.Done
    | control.StateNow
    | keys.CreateKey
    | keys.RevokeKey
    | keys.GetKeys
    | keys.KeysAre
    | history.Remember
    | history.Remembered
    | history.GetHistory
    | history.HistoryPage
    | view.View
    | view.Do
    | view.Did
    | view.Picture
    | view.Sight
)
"""Every message there is."""


class Kind(enum.IntEnum):
    """What a frame does to its call."""

    CALL = 0
    ITEM = 1
    END = 2
    CANCEL = 3


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One frame. `call` is chosen by the caller; only CANCEL has no body."""

    call: int
    kind: Kind
    body: Body | None
