"""Both CRMs of the sandbox with empty tables of contacts, and short words for what they hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from spine.core import clock
from spine.pipeline import closing, extract
from spine.pipeline.work import Sync
from spine.sandbox import hubspot, salesforce
from spine.sandbox.server import SandboxServer
from spine.sandbox.tables import stream_of
from spine.sandbox.writing import HubSpotWrites, SalesforceWrites
from tests.push.conftest import Way


@dataclass
class Crms:
    """Both vendors with empty tables of contacts, a way back, and short words for what they hold."""

    server: SandboxServer
    way: Way
    touched: float = 0.0

    def load(self, source: str, *records: dict[str, Any]) -> list[str]:
        now, self.touched = clock.to_text(clock.now()), time.time()
        return self.server.sandbox.load(source=source, stream="contacts", tenant=self.way.tenant, records=list(records), at=now)["ids"]

    def rows(self, source: str) -> list[dict[str, Any]]:
        """The living contacts of a vendor, with all their fields."""
        world = self.server.sandbox.worlds[self.way.tenant]
        table = world.tables[stream_of(source, "contacts")]
        make = hubspot.properties if source == "hubspot" else salesforce.record
        return [make(world, table, slot) for slot in range(len(table)) if not table.deleted[slot]]

    def people(self, source: str) -> list[tuple[Any, ...]]:
        names = ("email", "firstname", "lastname") if source == "hubspot" else ("Email", "FirstName", "LastName")
        return sorted(tuple(row.get(name) for name in names) for row in self.rows(source))

    def calls(self, part: str) -> int:
        return sum(part in call.path for call in self.server.sandbox.calls)

    def edit(self, source: str, record: str, **fields: Any) -> None:
        """Somebody changes a contact there."""
        self.touched = time.time()
        if source == "hubspot":
            said: Any = {"inputs": [{"id": record, "properties": fields}]}
            assert HubSpotWrites(self.server.sandbox).batch("contacts", "update", self.way.tenant, said).status_code == 200
        else:
            said = {"records": [{"attributes": {"type": "Contact"}, "Id": record, **fields}]}
            assert b'"success":true' in SalesforceWrites(self.server.sandbox).write("PATCH", "", "", self.way.tenant, said, []).body

    def read(self, source: str, run_id: str) -> None:
        """Bring the vendor's contacts into Bronze. A run reads what is older than the second in which it is planned."""
        time.sleep(max(0.0, int(self.touched) + 1 - time.time()))
        works = extract.plan(Sync(source, run_id, [self.way.tenant], ["contacts"]), self.way.services)
        try:
            for work in works:
                extract.extract(work, self.way.services)
        finally:
            closing.finish(source, run_id, [self.way.tenant], self.way.services)
