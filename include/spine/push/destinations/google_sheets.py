"""A sheet of Google Sheets, whose first row names its columns. A row has no id: it is known by its key, wherever somebody has moved it.

Facts: developers.google.com/workspace/sheets/api/reference/rest, v4: spreadsheets.values.get, .append, .batchUpdate (`RAW` values are
stored as they are: a text that begins with `=` is no formula), spreadsheets.get and .batchUpdate (DeleteDimensionRequest).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from spine.control.pushes import Change
from spine.core.errors import ConfigError, SourceRejected
from spine.http.client import Client
from spine.http.transport import Request
from spine.push.destination import Held, Outcome, OverHttp, by_halves
from spine.push.ends import End
from spine.push.values import key_text, plain
from spine.sources.variables import values_of

_MOST = 1000
_LETTERS = 26


class GoogleSheets(OverHttp):
    """One sheet, as `<spreadsheet id>/<title>`, or as its title where the Connection's extra names one spreadsheet."""

    most: int = _MOST
    whole: ClassVar[bool] = True

    def __init__(self, client: Client, end: End, extra: Mapping[str, Any]) -> None:
        assert end.source is not None
        spreadsheet, _, title = end.thing.rpartition("/")
        if not spreadsheet:
            listed = values_of(end.source, extra).get("spreadsheets") or []
            spreadsheet = str(listed[0]) if isinstance(listed, list) and len(listed) == 1 else ""
        if not spreadsheet:
            raise ConfigError("nobody knows which spreadsheet is meant", hint="Write `object: <spreadsheet id>/<sheet>`")
        self._client, self._keys, self._names = client, end.keys, list(dict.fromkeys((*end.keys, *end.names.values())))
        self._title, self._path = title, f"/v4/spreadsheets/{quote(spreadsheet, safe='')}"
        self._range = quote("'" + title.replace("'", "''") + "'", safe="")

    def _rows(self) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
        """The header, and each row that has something in it: its number in the sheet, and its fields."""
        params = {"majorDimension": "ROWS", "valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}
        answer = self._client.get(f"{self._path}/values/{self._range}", params).json()
        rows = (answer.get("values") if isinstance(answer, dict) else None) or []
        header = [str(name) for name in rows[0]] if rows else []
        return header, [(number, dict(zip(header, row, strict=False))) for number, row in enumerate(rows[1:], 2) if any(row)]

    def _key(self, fields: Mapping[str, Any]) -> str | None:
        return key_text([fields.get(name) for name in self._keys], folds=False)

    def _found(self) -> tuple[list[str], dict[str, tuple[int, dict[str, Any]]]]:
        header, rows = self._rows()
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        for number, fields in rows:
            key = self._key(fields)
            if key is not None:
                found.setdefault(key, (number, fields))
        return header, found

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """The rows of these keys, by one reading of the sheet."""
        _, found = self._found()
        keys = {change.number: self._key(change.match) for change in changes}
        return {number: Held("", found[key][1]) for number, key in keys.items() if key is not None and key in found}

    def every(self) -> Iterator[list[Held]]:
        """All rows."""
        yield [Held("", fields) for _, fields in self._rows()[1]]

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write them in one call, by where their rows are now; Google takes all of it or nothing."""
        refusals: list[SourceRejected] = []

        def attempt(part: Sequence[Change]) -> list[Outcome] | None:
            try:
                self._write(part)
            except SourceRejected as error:
                refusals.append(error)
                return None
            return [Outcome(True) for _ in part]

        return by_halves(changes, attempt, lambda _: Outcome(False, code=refusals[-1].code, message=refusals[-1].message))

    def _write(self, changes: Sequence[Change]) -> None:
        header, found = self._found()
        header = self._with_columns(header)
        if changes[0].op == "delete":
            self._delete(sorted({found[key][0] for change in changes if (key := self._key(change.match)) in found}, reverse=True))
            return
        if changes[0].op == "create":
            given = [{**change.match, **change.fields} for change in changes]
            rows = [[_cell(row.get(name)) for name in header] for row in given]
            params = {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"}
            self._post(f"values/{self._range}:append", {"majorDimension": "ROWS", "values": rows}, params, twice=False)
            return
        cells = []
        for change in changes:
            key = self._key(change.match)
            for name, value in change.fields.items() if key is not None and key in found else ():
                cells.append({"range": self._cell(header.index(name), found[str(key)][0]), "values": [[_cell(value)]]})
        self._post("values:batchUpdate", {"valueInputOption": "RAW", "data": cells}, {}, twice=True)

    def _with_columns(self, header: list[str]) -> list[str]:
        """The header, with columns that it lacks behind it."""
        missing = [name for name in self._names if name not in header]
        if missing:
            whole = [*header, *missing]
            cells = [{"range": self._cell(0, 1), "values": [whole]}]
            self._post("values:batchUpdate", {"valueInputOption": "RAW", "data": cells}, {}, twice=True)
            return whole
        return header

    def _delete(self, numbers: Sequence[int]) -> None:
        answer = self._client.get(self._path, {"fields": "sheets.properties"}).json()
        sheets = [one.get("properties") or {} for one in answer.get("sheets") or ()]
        sheet = next((one.get("sheetId") for one in sheets if one.get("title") == self._title), None)
        if sheet is None:
            raise SourceRejected("the spreadsheet has no such sheet", hint="Correct `object`", sheet=self._title)
        ranges = [{"sheetId": sheet, "dimension": "ROWS", "startIndex": number - 1, "endIndex": number} for number in numbers]
        requests = [{"deleteDimension": {"range": one}} for one in ranges]  # from the last on, so that the others keep their numbers
        if requests:
            self._post(":batchUpdate", {"requests": requests}, {}, twice=False)

    def _cell(self, column: int, row: int) -> str:
        letters, rest = "", column + 1
        while rest:
            rest, digit = divmod(rest - 1, _LETTERS)
            letters = chr(ord("A") + digit) + letters
        title = self._title.replace("'", "''")
        return f"'{title}'!{letters}{row}"

    def _post(self, word: str, body: Mapping[str, Any], params: Mapping[str, str], *, twice: bool) -> None:
        path = f"{self._path}{word}" if word.startswith(":") else f"{self._path}/{word}"
        headers = {"Content-Type": "application/json"}
        self._client.request(Request("POST", path, params=dict(params), json=body, headers=headers, idempotent=twice))


def _cell(value: Any) -> Any:
    found = plain(value)
    return "" if found is None else found if isinstance(found, str | int | float | bool) else str(found)
