"""Faults in judging a payload: what is invalid is taken, or what is valid refused."""

import re
import uuid
from typing import Any

from receivers.correct import Correct, planted

from receiver.contract import Judgement, Verdict


def broken_by(judgement: Judgement, keyword: str) -> bool:
    return all(violation.keyword == keyword for violation in judgement.violations)


def at(payload: Any, judgement: Judgement) -> Any:
    """The value that a violation is about."""
    for step in judgement.violations[0].pointer.split("/")[1:]:
        payload = payload[step]
    return payload


# What is invalid


@planted("*/type/*")
class IgnoresTypes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "type")


@planted("*/required/*", "*/data-of/*")
class IgnoresWhatIsMissing(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "required")


@planted("*/format/*")
class IgnoresFormats(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "format")


@planted("*/minimum/below")
class IgnoresTheMinimum(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "minimum")


@planted("*/pattern/*")
class IgnoresThePattern(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "pattern")


@planted("*/pattern/newline-after")
class MatchesThePatternAsPythonDoes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "pattern") and bool(re.match("^[0-9]+$", at(payload, judgement)))


@planted("*/format/undashed", "*/format/braced")
class ReadsUuidsAsPythonDoes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        try:
            return broken_by(judgement, "format") and bool(uuid.UUID(at(payload, judgement)))
        except ValueError:
            return False


@planted("envelope/type/*")
class TakesAnythingForAnEnvelope(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return not isinstance(payload, dict)


@planted("envelope/type/*", "envelope/required/event")
class BreaksWithoutAnEvent(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return super().accepted(payload, body) if payload["event"] != 0 else 422


@planted("*/data-of/*", "*")
class JudgesByTheDataAlone(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        others = [{**payload, "event": event} for event in self.contract.events] if isinstance(payload, dict) else []
        return judgement.event in self.contract.events and any(
            self.contract.judge(other).verdict is Verdict.VALID for other in others
        )


# What is valid


@planted("*/data/userId/type/null", "*/data/externalUserId/type/null", "*/sample/without-user")
class RefusesNull(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b'Id":null' in body else super().accepted(payload, body)


@planted("*/absent/userId", "*/minimal")
class NeedsTheUser(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b"consentId" in body and b"userId" not in body else super().accepted(payload, body)


@planted("*/additional/*", "notation/*")
class RefusesWhatItDoesNotKnow(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b"unknownField" in body else super().accepted(payload, body)


@planted("*/sample/count-as-string", "*/pattern/digits")
class WantsOnlyNumbers(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b'Count":"' in body else super().accepted(payload, body)


@planted("*/format/upper-case")
class WantsLowerCase(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        ids = re.findall(rb'"([0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27})"', body)
        return super().accepted(payload, body) if all(one == one.lower() for one in ids) else 422


@planted("unknown-event/*")
class BreaksOnUnknownEvents(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        unknown = self.contract.judge(payload).verdict is Verdict.UNKNOWN_EVENT
        return 500 if unknown else super().accepted(payload, body)
