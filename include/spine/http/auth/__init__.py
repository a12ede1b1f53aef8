"""Signs requests: one file per kind of authentication, with its words and its behaviour. A new kind is a new file here and its test.

Secrets come in as Credentials and leave in requests, never in messages.
"""

from spine.core.variants import FirstVersion, Variants
from spine.http.auth.signing import Account, Auth, Credentials, Signer

_FIRST = FirstVersion(
    kinds=frozenset({"none", "bearer", "basic", "api_key", "oauth2"}),
    words=frozenset({"header", "param", "grant", "token_path", "rotates"}),
)
AUTH_KINDS = Variants(Auth, __name__, default="none", first=_FIRST)

__all__ = ["AUTH_KINDS", "Account", "Auth", "Credentials", "Signer"]
