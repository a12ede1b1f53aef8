"""No authentication."""

from __future__ import annotations

from typing import Literal

from spine.http.auth.signing import Account, Auth, Signer


class NoAuth(Auth):
    """Requests are sent as they are: public sources, and folders of files, whose Connection names the folder.

    Example:
        type: none
    """

    type: Literal["none"] = "none"

    def signer(self, account: Account) -> Signer:
        """A signer that signs nothing."""
        return Signer()
