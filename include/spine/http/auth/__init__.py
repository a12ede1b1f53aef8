"""Signs requests: one file per kind of authentication, with its words and its behaviour. A new kind is a new file here and its test.

Secrets come in as Credentials and leave in requests, never in messages.
"""

from spine.core.variants import Variants
from spine.http.auth.signing import Account, Auth, Credentials, Signer

AUTH_KINDS = Variants(Auth, __name__, default="none", passed_over=frozenset({"header", "param", "grant", "token_path", "rotates"}))

__all__ = ["AUTH_KINDS", "Account", "Auth", "Credentials", "Signer"]
