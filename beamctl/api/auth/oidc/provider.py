"""An identity provider: OpenID Connect, authorization code with PKCE. Needs the extra ``oidc``."""

import time
import warnings
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from beamctl.api.auth.oidc.trip import Trip
from beamctl.api.options import OidcOptions
from beamctl.api.problem import ProblemError

with warnings.catch_warnings():
    import authlib.deprecate  # switches its warnings on

    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)  # it would rather have httpx2
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.httpx_client import AsyncOAuth2Client

TIMEOUT_S = 5.0
REMEMBER_S = 3600.0
"""how long endpoints and keys of the provider are believed"""
CLOCKS_APART_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
"""signatures with a public key; never ``none``, never a shared secret"""


class Provider:
    """Sends browsers to the provider, and finds out whom it has sent back.

    Args:
        options: of the site.
    """

    def __init__(self, options: OidcOptions) -> None:
        self._options = options
        self._tls = httpx.create_ssl_context()  # reading all authorities takes a while: once
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._until = 0.0

    async def login_url(self, trip: Trip) -> str:
        """Where a browser has to go.

        Raises:
            ProblemError: the provider cannot be reached, or is not the one that was configured.
        """
        await self._learn()
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                self._metadata["authorization_endpoint"],
                state=trip.state,
                nonce=trip.nonce,
                code_verifier=trip.verifier,
            )
        return str(url)

    async def claims(self, trip: Trip, code: str) -> dict[str, Any]:
        """What the provider says of whoever has come back.

        Args:
            trip: that was begun here.
            code: that the browser has brought.

        Raises:
            ProblemError: the provider cannot be reached or does not know the code, or its token is not to be believed.
        """
        await self._learn()
        try:
            async with self._client() as client:
                token = await client.fetch_token(
                    self._metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=self._options.redirect_uri,
                    code_verifier=trip.verifier,
                )
        except OAuthError as error:
            raise ProblemError("bad-credentials", f"the identity provider says: {error.error}") from error
        except (httpx.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        return await self._checked(str(token.get("id_token", "")), trip.nonce)

    async def _checked(self, id_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token; where its key is not known the provider's keys are asked for once more."""
        try:
            return self._believed(id_token, nonce)
        except (JoseError, ValueError):
            await self._learn(again=True)
        try:
            return self._believed(id_token, nonce)
        except (JoseError, ValueError) as error:
            detail = f"the ID token is not to be believed: {type(error).__name__.removesuffix('Error')}"
            raise ProblemError("bad-credentials", detail) from error

    def _believed(self, id_token: str, nonce: str) -> dict[str, Any]:
        if self._keys is None:
            raise ValueError("no keys")
        claims: dict[str, Any] = jwt.decode(id_token, self._keys, algorithms=ALGORITHMS).claims
        mine = self._options.client_id
        jwt.JWTClaimsRegistry(
            leeway=CLOCKS_APART_S,
            iss={"essential": True, "value": self._options.issuer},
            aud={"essential": True, "value": mine},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        if claims.get("azp", mine) != mine or (isinstance(claims["aud"], list) and claims["aud"] != [mine]):
            raise ValueError("made for somebody else, too")
        return claims

    async def _learn(self, *, again: bool = False) -> None:
        """Endpoints and keys, from where the issuer publishes them."""
        if self._keys is not None and not again and time.monotonic() < self._until:
            return
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=self._tls) as client:
                metadata = await self._discovered(client)
                keys = KeySet.import_key_set(await _json(client, metadata["jwks_uri"]))
        except (httpx.HTTPError, JoseError, KeyError, ValueError) as error:
            raise self._unavailable(error) from error
        self._metadata, self._keys, self._until = metadata, keys, time.monotonic() + REMEMBER_S

    async def _discovered(self, client: httpx.AsyncClient) -> dict[str, Any]:
        metadata = await _json(client, f"{self._options.issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata["issuer"] != self._options.issuer:
            raise ValueError(f"it calls itself {metadata['issuer']!r}")
        return dict(metadata)

    def _client(self) -> AsyncOAuth2Client:
        known = self._metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return AsyncOAuth2Client(
            self._options.client_id,
            self._options.client_secret,
            scope="openid profile email",
            redirect_uri=self._options.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if "client_secret_basic" in known else known[0],
            timeout=TIMEOUT_S,
            verify=self._tls,
        )

    def _unavailable(self, error: Exception) -> ProblemError:
        return ProblemError("provider-unavailable", f"{self._options.issuer}: {error or type(error).__name__}")


async def _json(client: httpx.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.json()
