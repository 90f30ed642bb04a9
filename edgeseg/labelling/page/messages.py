"""What the page may send, checked before anything is done with it."""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request

from edgeseg.errors import DataError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Person = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)]
Pixel = Annotated[int, Field(ge=0, lt=1 << 24)]
ROOM = 4096  # bytes of a message beside its runs


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OpenMessage(_Message):
    """A tab wants a frame; with `force` also from another tab."""

    tab: Name
    person: Person
    force: bool = False


class StartMessage(_Message):
    """What a tab shows that a frame began with."""

    runs: str
    origin: Literal["prediction", "empty"]
    model: str = Field("", max_length=300)


class EventMessage(_Message):
    """An event of a draft, see `edgeseg.labelling.drafts.draft`."""

    tab: Name
    person: Person
    name: Name
    revision: int = Field(ge=0)
    beginning: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,64}$")] = ""
    start: StartMessage | None = None
    kind: Literal["edit", "undo", "redo", "finish"]
    tool: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}$")] = ""
    box: list[Pixel] = Field(default=[0, 0, 0, 0], min_length=4, max_length=4)
    runs: str = ""
    joined: bool = False
    split: Literal["auto", "train", "val", "gate"] = "auto"


class MarkMessage(_Message):
    """A frame is skipped or flagged, or is neither any more."""

    mark: Literal["skipped", "flagged", "cleared"]


class ContourMessage(_Message):
    """An edge is to be followed from one pixel to another."""

    start: list[Pixel] = Field(min_length=2, max_length=2)
    end: list[Pixel] = Field(min_length=2, max_length=2)


class TabMessage(_Message):
    """A tab goes on with a frame, or leaves it."""

    tab: Name
    person: Person
    frame: str = Field("", max_length=200)


Content = TypeVar("Content", bound=_Message)


async def read_message(request: Request, kind: type[Content], room: int = ROOM) -> Content:
    """Read the body of a request.

    Args:
        room: Bytes that it may have.

    Raises:
        DataError: It is larger, no JSON, or not of this kind.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > room:
            raise DataError(f"the request is larger than {room} bytes; load the page again")
    try:
        return kind.model_validate_json(bytes(data))
    except (ValidationError, json.JSONDecodeError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "no JSON"
        raise DataError(
            f"the request is no {kind.__name__} ({reason}); load the page again"
        ) from None
