"""Where the service is, and who asks it."""

from dataclasses import dataclass, field


@dataclass
class Access:
    """Shared by everything of one client.

    Attributes:
        url: of the service, without ``/api/v1``.
        credential: API key or session token; empty: nobody. A login changes it.
        patience_s: for how long a call that may be repeated is tried again where the service does not answer.
    """

    url: str
    credential: str = field(default="", repr=False)
    patience_s: float = 10.0

    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
