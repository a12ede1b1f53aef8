"""Drawing evidence on a terminal: waterfalls with bars, joins, hits. 100 columns at most; what is piped has no colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spine.cli import show
from spine.core import screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH = 100
BAR = 21
GOOD = {"accepted": "green", "one entity": "green", "review": "yellow", "conflict": "yellow", "two entities": "red", "rejected": "red"}


def console() -> Console:
    """Where output goes: as wide as the terminal up to WIDTH, exactly WIDTH when piped."""
    made = screen.console(highlight=False)
    return screen.console(width=min(made.width, WIDTH) if made.is_terminal else WIDTH, highlight=False)


def share(probability: float) -> str:
    """A probability in per cent with as many digits as it takes not to read 0 or 100."""
    for digits in (1, 2, 3, 4):
        text = f"{probability * 100:.{digits}f}"
        if probability in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            return f"{text} %"
    return "> 99.9999 %" if probability > 0.5 else "< 0.0001 %"


def bits(weight: float) -> str:
    """A weight in bits with its sign; nothing for nothing."""
    return f"{weight:+.1f}" if abs(weight) >= 0.05 else "·"


def bar(weight: float, largest: float) -> Text:
    """A bar from the middle: to the right what speaks for one, to the left what speaks against; half characters at its end."""
    from rich.text import Text

    side = BAR // 2
    halves = round(min(1.0, abs(weight) / largest) * side * 2) if largest else 0
    full, half = divmod(halves, 2)
    if weight >= 0:
        drawn = ("█" * full + "▌" * half).ljust(side)
        return Text.assemble(" " * side, ("│", "dim"), (drawn, "green"))
    drawn = ("▐" * half + "█" * full).rjust(side)
    return Text.assemble((drawn, "red"), ("│", "dim"), " " * side)


def waterfall(steps: Sequence[Mapping[str, Any]], weight: float, left: str, right: str) -> Table:
    """The steps of a pair as a table: both values, how they agree, weight in bits as number and bar, and the sum."""
    from rich.text import Text

    table = _table(
        ("evidence", {"min_width": 9, "max_width": 14}),
        (left, {"ratio": 1}),
        (right, {"ratio": 1}),
        ("agreement", {"max_width": 22}),
        ("bits", {"justify": "right", "width": 6}),
        ("against │ for".center(BAR), {"width": BAR}),
    )
    largest = max((abs(part) for step in steps for part in (step["weight"], step["tf_adjustment"])), default=0.0)
    for step in steps:
        silent = step["left"] is None or step["right"] is None
        style = "dim" if silent and not step["weight"] else ""
        values = (Text(step["left"] or "", style), Text(step["right"] or "", style))
        table.add_row(
            Text(step["attribute"], style or "bold"),
            *values,
            Text(step["label"], style),
            bits(step["weight"]),
            bar(step["weight"], largest),
        )
        if abs(step["tf_adjustment"]) >= 0.05:
            told = "rare value" if step["tf_adjustment"] > 0 else "common value"
            table.add_row("", Text(_frequency(step), "dim"), "", told, bits(step["tf_adjustment"]), bar(step["tf_adjustment"], largest))
    table.add_section()
    table.add_row(Text("sum", "bold"), "", "", "", Text(bits(weight), "bold"), bar(weight, max(largest, abs(weight))))
    return table


def _frequency(step: Mapping[str, Any]) -> str:
    if "shared_by" not in step:
        return ""
    count, total = step["shared_by"], step["shared_of"]
    return f"{count:,} of {total:,} have it" if count > 1 else f"at most one of {total:,} has it"


def _table(*columns: tuple[str, dict[str, Any]]) -> Table:
    """An empty table with these columns: their heads and what rich is to know of them."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    for head, options in columns:
        table.add_column(head, overflow="fold", **options)
    return table


def pair(out: Console, found: Mapping[str, Any]) -> None:
    """Print why two records are one or not."""
    from rich.text import Text

    out.print(Text.assemble((found["left_ref"], "bold"), "  and  ", (found["right_ref"], "bold")))
    out.print(Text(f"{found['entity']} of tenant {found['tenant']}, weights {found['model_version']}", "dim"))
    out.print(waterfall(found["steps"], found["weight"], "left", "right"))
    out.print(Text.assemble("A sum of ", bits(found["weight"]), " bits is ", (share(found["probability"]), "bold"),
                            f"; the threshold is {found['threshold'] * 100:.0f} %."))  # fmt: skip
    out.print()
    ids = list(dict.fromkeys(entity_id for entity_id in found["entities"] if entity_id))
    out.print(Text.assemble((found["outcome"].capitalize(), f"bold {GOOD.get(found['outcome'], 'yellow')}"), ": " if ids else "",
                            " and ".join(ids)))  # fmt: skip
    out.print(Text(f"Decided by {found['decided_by']}: {found['because']}"))
    rules = found["blocking_rules"]
    out.print(Text(f"Brought together by: {', '.join(rules)}" if rules else "No blocking rule brings them together: never compared", "dim"))
    if found["stored"]:
        stored = found["stored"]
        told = f"In Gold since {show.text(stored['matched_at'])}: {stored['decision']}, {share(stored['probability'])}"
        out.print(Text(f"{told}, weights {stored['model_version']}", "dim"))


def entity(out: Console, found: Mapping[str, Any], limit: int) -> None:
    """Print how an entity came together."""
    from rich.text import Text

    out.print(
        Text.assemble((found["entity_id"], "bold"), f"  {found['entity']} of tenant {found['tenant']}, weights {found['model_version']}")
    )
    if found["redirects"]:
        out.print(Text(f"{' → '.join([found['asked'], *found['redirects']])} (merged)", "yellow"))
    if not found["alive"]:
        out.print(Text("It has no records any more.", "yellow"))
    _records(out, found, limit)
    _joins(out, found, limit)
    _overrides(out, found)
    _rivals(out, found, limit)
    _changes(out, found, limit)


def _head(out: Console, title: str) -> None:
    out.print()
    out.print(title, style="bold underline")


def _records(out: Console, found: Mapping[str, Any], limit: int) -> None:
    from rich.text import Text

    if not found["records"]:
        return
    _head(out, f"{found['record_count']:,} record{'s' * (found['record_count'] != 1)}")
    table = _table(
        ("#", {"justify": "right"}),
        ("record", {"max_width": 34}),
        ("values", {"ratio": 1}),
        ("best link", {"justify": "right"}),
        ("linked by", {}),
    )
    for row in found["records"][:limit]:
        single = row["method"] == "single"
        best = "" if single or row["confidence"] is None else share(row["confidence"])
        table.add_row(
            str(row["number"]), Text(row["record_ref"]), Text(row["summary"], "dim"), best, "" if single else str(row["method"] or "")
        )
    out.print(table)
    _more(out, len(found["records"]), limit)


def _joins(out: Console, found: Mapping[str, Any], limit: int) -> None:
    from rich.text import Text

    if not found["joins"]:
        return
    _head(out, "How they joined, the strongest link first")
    table = _table(
        ("", {"justify": "right"}),
        ("group", {"max_width": 16}),
        ("joins", {"max_width": 12}),
        ("by link", {}),
        ("bits", {"justify": "right"}),
        ("probability", {"justify": "right"}),
        ("because", {"ratio": 1}),
    )
    for number, join in enumerate(found["joins"][:limit], 1):
        steward = join["by"] == "steward"
        because = "a steward said so" if steward else join["strongest"]
        style = "yellow" if steward else "red" if join["probability"] < found["threshold"] else ""
        table.add_row(
            str(number), _group(join["left"]), _group(join["right"]), "{}-{}".format(*join["link"]), Text(bits(join["weight"]), style),
            Text(share(join["probability"]), style), Text(because, "dim"),
        )  # fmt: skip
    out.print(table)
    _more(out, len(found["joins"]), limit)
    weak = found["weakest"]
    below = "" if weak["probability"] >= found["threshold"] else f", below the threshold of {found['threshold'] * 100:.0f} %: "
    held = f"the records agree on average ({weak['mean']:+.1f} bits)" if weak["by"] == "evidence" else "a steward holds it"
    out.print(
        Text.assemble(
            "Weakest link: ", ("{}-{}".format(*weak["link"]), "bold"), f", {share(weak['probability'])}", below, held if below else ""
        )
    )


def _group(numbers: Sequence[int]) -> str:
    shown = " ".join(map(str, numbers[:6]))
    return f"{shown} … {len(numbers)}" if len(numbers) > 6 else shown


def _overrides(out: Console, found: Mapping[str, Any]) -> None:
    from rich.text import Text

    if found["overrides"]:
        _head(out, "A steward's word")
    for row in found["overrides"]:
        word = "are one" if row["kind"] == "must_link" else "are never one"
        out.print(Text(f"{row['left_ref']} and {row['right_ref']} {word}: {row['reason']} ({row['actor']}, {show.text(row['made_at'])})"))


def _rivals(out: Console, found: Mapping[str, Any], limit: int) -> None:
    from rich.text import Text

    if not found["rivals"]:
        return
    _head(out, "Records outside that are like these")
    table = _table(
        ("record", {"ratio": 1}),
        ("outside", {"ratio": 1}),
        ("probability", {"justify": "right"}),
        ("decision", {}),
        ("reason", {"ratio": 1}),
    )
    for row in found["rivals"][:limit]:
        style = GOOD.get(row["decision"], "")
        table.add_row(
            row["record_ref"], row["other_ref"], share(row["probability"]), Text(row["decision"], style), Text(row["reason"] or "", "dim")
        )
    out.print(table)
    _more(out, len(found["rivals"]), limit)


def _changes(out: Console, found: Mapping[str, Any], limit: int) -> None:
    from rich.text import Text

    if not found["changes"]:
        return
    _head(out, "What happened to it")
    table = _table(("when", {"min_width": 19}), ("what", {}), ("to whom", {"ratio": 1}), ("why", {"ratio": 1}), ("by", {}))
    for row in found["changes"][-limit:]:
        others = [row["record_ref"], *(row[name] for name in ("entity_id", "other_entity_id") if row[name] != found["entity_id"])]
        table.add_row(show.text(row["changed_at"]), row["kind"], " ".join(filter(None, others)), Text(row["reason"] or ""), row["actor"])
    out.print(table)
    _more(out, len(found["changes"]), limit)


def _more(out: Console, count: int, limit: int) -> None:
    if count > limit:
        out.print(f"… and {count - limit:,} more; --limit shows them", style="dim")


def answer(out: Console, found: Mapping[str, Any]) -> None:
    """Print the golden records that a lookup found."""
    from rich.text import Text

    compared = f"{found['compared']:,} of {found['sharing']:,} records that share a key compared"
    out.print(Text(f"{compared}, {found['milliseconds']:.0f} ms (weights {found['model_version']})", "dim"))
    if not found["hits"]:
        out.print(Text("No golden record is like this.", "yellow"))
        return
    table = _table(
        ("golden record", {}),
        ("probability", {"justify": "right"}),
        ("decision", {}),
        ("values", {"ratio": 1}),
        ("records", {"justify": "right"}),
    )
    for hit in found["hits"]:
        kept = [
            str(value) for name, value in hit["golden"].items() if value is not None and name not in _COUNTS and not isinstance(value, bool)
        ]
        style = GOOD[hit["decision"]]
        table.add_row(hit["entity_id"], share(hit["probability"]), Text(hit["decision"], style), Text(" · ".join(kept)),
                      str(hit["golden"].get("record_count", hit["records"])))  # fmt: skip
    out.print(table)
    best = found["hits"][0]
    out.print()
    out.print(Text.assemble("Against its nearest record, ", (best["record_ref"], "bold")))
    out.print(waterfall(best["waterfall"], best["weight"], "asked", "record"))


_COUNTS = ("entity_id", "record_count", "source_count")
