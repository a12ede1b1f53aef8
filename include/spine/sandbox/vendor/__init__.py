"""A vendor made from a source's file: a real HTTP server that behaves as the file says.

`vendor` knows what there is and answers calls; `server` speaks HTTP and TLS; `turning` is how a server of each kind of paging turns pages,
`guards` how one of each kind of authentication judges a call. What a file says and nothing here understands raises NotCovered.
"""

from spine.sandbox.vendor.calls import Answer, Call, NotCovered
from spine.sandbox.vendor.server import VendorServer
from spine.sandbox.vendor.vendor import Vendor

__all__ = ["Answer", "Call", "NotCovered", "Vendor", "VendorServer"]
