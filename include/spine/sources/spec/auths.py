"""Words for how requests are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from spine.http.auth import AUTH_KINDS, Auth

# Which kinds there are is known when the program runs: one for each file of the package.
if TYPE_CHECKING:
    AnyAuth: TypeAlias = Auth
else:
    AnyAuth = AUTH_KINDS.choice()
