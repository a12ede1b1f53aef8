"""A program for kill tests: rotates the deployment's key, or drops the older ones. Arguments: the administrator's URL, the word."""

from __future__ import annotations

import sys

from spine.control.rotation import Keeper

if __name__ == "__main__":
    getattr(Keeper(sys.argv[1], "kill-test"), sys.argv[2])()
