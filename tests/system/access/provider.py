"""A small identity provider: discovery, keys, authorization, tokens; as strict as the standard where it matters."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "first"})
CLIENT, SECRET = "beamctl", "s3cret of the client"


class Provider:
    """Logs in whoever comes, as whom :attr:`person` says.

    Attributes:
        person: claims of the ID token besides those of the protocol.
        change: of the claims, last of all; None takes one away.
        key: that signs.
        published: keys that the service is told of.
        algorithm: in the header of the token; ``none``: it is not signed.
        error: said instead of a code.
        name: that it calls itself.
        asked: paths, in order.
    """

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(urlsplit(self.path).path)
                provider.get(self)

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                provider.post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/realm"
        self.reset()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def reset(self) -> None:
        """As in the beginning."""
        self.person: dict[str, Any] = {"sub": "1", "preferred_username": "ada", "groups": ["operators"]}
        self.change: dict[str, Any] = {}
        self.key: RSAKey | OctKey = KEY
        self.published = [KEY]
        self.algorithm = "RS256"
        self.error = ""
        self.name = self.issuer
        self.asked: list[str] = []

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if parts.path == "/realm/.well-known/openid-configuration":
            return _send(handler, self._metadata())
        if parts.path == "/realm/keys":
            return _send(handler, {"keys": [key.as_dict(private=False) for key in self.published]})
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.path == "/realm/authorize"
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        said = {"error": self.error} if self.error else {"code": code}
        handler.send_response(302)
        handler.send_header("Location", f"{query['redirect_uri']}?{urlencode({'state': query['state'], **said})}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return None

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form["redirect_uri"]
            or handler.headers["authorization"] != f"Basic {basic}"
        ):
            return _send(handler, {"error": "invalid_grant"}, 400)
        return _send(
            handler, {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": self._token(asked)}
        )

    def _token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims |= self.person | self.change
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return ".".join([*(_part(one) for one in ({"alg": "none"}, claims)), ""])
        return jwt.encode({"alg": self.algorithm, "kid": self.key.kid}, claims, self.key, algorithms=[self.algorithm])

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.name,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }


def _part(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()


def _send(handler: BaseHTTPRequestHandler, told: object, status: int = 200) -> None:
    body = json.dumps(told).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
