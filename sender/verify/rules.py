"""Rules: what a receiver has to answer to what it is sent, in two profiles, each with its source.

In: a rule, a profile, the status of an answer. Out: a grade. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """How strict the rules are meant."""

    STRICT = "strict"
    """What is bad has to be rejected, by 4xx."""
    TOLERANT = "tolerant"
    """What is bad may be accepted, and must never lead to 5xx."""


class Grade(StrEnum):
    """What an answer is worth."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be answered. `strict`, `tolerant` and `warned` are first digits of statuses: those that pass in a
    profile, and of these the ones that are warned of. No answer (a reset, a timeout) and 5xx never pass."""

    id: str
    text: str
    source: str
    strict: str
    tolerant: str
    warned: str = ""

    def passing(self, profile: Profile) -> str:
        """The first digits of the statuses that pass."""
        return self.strict if profile is Profile.STRICT else self.tolerant

    def grade(self, profile: Profile, status: int | None) -> Grade:
        """The grade of an answer's status; None is for no answer."""
        digit = str(status)[:1]
        if status is None or digit not in self.passing(profile):
            return Grade.FAILED
        return Grade.WARNED if digit in self.warned else Grade.PASSED

    def expected(self, profile: Profile) -> str:
        """What passes, in words: `2xx or 4xx`."""
        return _IN_WORDS[self.passing(profile)]


_IN_WORDS = {"2": "2xx", "4": "4xx", "24": "2xx or 4xx", "234": "no 5xx"}
_ONCE = "EnableNow sends once; Standard Webhooks, Delivery success and failure"

VALID = Rule("accepts-valid", "what the contract allows is accepted", _ONCE, "2", "2")
GROWTH = Rule("accepts-growth", "members that are not documented yet are accepted", "the contract grows", "2", "2")
NOTATION = Rule(
    "accepts-notation",
    "the same JSON, or media type, written otherwise is accepted",
    "RFC 8259, 2, 4 and 7; RFC 9110, 8.3.1",
    "2",
    "2",
)
REPEATED = Rule(
    "accepts-repeats", "equal bodies, and several at once, are accepted", "EnableNow sends no event id", "2", "2"
)
SERVES_ON = Rule("serves-on", "a good body after bad ones is accepted", _ONCE, "2", "2")
UNKNOWN = Rule(
    "survives-unknown-events",
    "an event type that is not known yet is answered, best by 2xx",
    "the contract grows",
    "24",
    "24",
    "4",
)
INVALID = Rule("rejects-invalid", "what violates the schema is rejected", "RFC 9110, 15.5.21", "4", "234", "23")
MALFORMED = Rule("rejects-malformed", "what is not JSON is rejected", "RFC 8259, 2 to 8", "4", "234", "23")
AMBIGUOUS = Rule(
    "rejects-ambiguous", "JSON that parsers read differently is rejected", "RFC 7493, 2.1 and 2.3", "4", "234", "23"
)
LIMIT = Rule("survives-limits", "what a parser may refuse is answered", "RFC 8259, 6, 8.1 and 9", "24", "24")
MEDIA_TYPE = Rule("rejects-media-type", "another media type is rejected", "RFC 9110, 15.5.16", "4", "234", "23")
NO_MEDIA_TYPE = Rule("survives-no-media-type", "a body without a media type is answered", "RFC 9110, 8.3", "24", "24")
METHOD = Rule("rejects-methods", "another method than POST is rejected", "RFC 9110, 15.5.6", "4", "234", "23")
LARGE = Rule("survives-large", "a large body is answered", "RFC 9110, 15.5.14", "24", "24")
TOO_LARGE = Rule("rejects-too-large", "a body beyond --max-body is rejected", "RFC 9110, 15.5.14", "4", "24", "2")

RULES = (
    VALID,
    GROWTH,
    NOTATION,
    REPEATED,
    SERVES_ON,
    UNKNOWN,
    INVALID,
    MALFORMED,
    AMBIGUOUS,
    LIMIT,
    MEDIA_TYPE,
    NO_MEDIA_TYPE,
    METHOD,
    LARGE,
    TOO_LARGE,
)
BY_ID = {rule.id: rule for rule in RULES}
