"""A run with nothing but curl, as the README shows it; the demonstration and the tests send exactly this."""

ADDRESS = "url=http://127.0.0.1:8470/api/v1 json='Content-Type: application/json'"
LOG_IN = (
    """curl -s $url/session/ways | sed 's/.*"demo"://; s/}$//' | curl -s -c cookies -H "$json" -d @- $url/session"""
)
REQUEST = """curl -s -b cookies -H "$json" -H 'X-Beamctl: 1' -d '{"task": "cm1-orbit"}' $url/runs"""
STREAM = """curl -s -N -b cookies $url/events | sed -un '/"seq"/p; /"kind":"ended"/q'"""
RESULT = """curl -s -b cookies "$url/runs?limit=1\""""
CALLS = (LOG_IN, REQUEST, STREAM, RESULT)
TASK = "cm1-orbit"


def script(url: str, call: str) -> str:
    """One of the calls for a shell, at another service.

    Args:
        url: of the service.
        call: one of :data:`CALLS`.
    """
    return f"{ADDRESS.replace('http://127.0.0.1:8470', url)}; {call}"
