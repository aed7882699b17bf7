"""Errors as clients see them: RFC 9457, with codes that stay the same."""

from http import HTTPStatus

PROBLEM_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be understood"),
    "not-logged-in": (401, "Log in first"),
    "bad-credentials": (401, "Name and password do not belong together"),
    "not-allowed": (403, "Your role does not allow this"),
    "must-change-password": (403, "Change the password first"),
    "cross-site": (403, "The request comes from another site"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "Not this method"),
    "not-acceptable": (406, "Cannot be delivered in that form"),
    "too-slow": (408, "The body took too long"),
    "conflict": (409, "Not in its present state"),
    "section-busy": (409, "Somebody has the section"),
    "key-reused": (409, "The idempotency key belongs to something else"),
    "no-live-data": (409, "There is no fresh reading"),
    "changed-meanwhile": (412, "Somebody has changed it meanwhile"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "JSON is needed"),
    "wrong-host": (421, "Not a name of this service"),
    "invalid": (422, "Some fields are wrong"),
    "version-needed": (428, "Say which version you have seen"),
    "too-many": (429, "Too many attempts"),
    "internal": (500, "A fault of this service"),
    "control-down": (503, "No control process is running"),
    "store-unavailable": (503, "The store cannot be used"),
    "provider-unavailable": (503, "The identity provider cannot be used"),
    "not-configured": (404, "Not configured here"),
    "missing-extra": (501, "An optional package is not installed"),
}
"""status and title by code"""


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        code: one of :data:`CODES`.
        detail: what happened this time, with numbers, and what can be done.
        headers: to send along.
    """

    def __init__(self, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status = HTTPStatus(CODES[code][0])
        self.title = CODES[code][1]
        self.detail = detail
        self.headers = headers or {}
