"""Formats of times as manifests name them, in our words."""

from __future__ import annotations

_FORMS = {
    "%s": "epoch", "%s_as_float": "epoch", "%ms": "epoch_ms", "%epoch_microseconds": "epoch_us", "%Y-%m-%d": "date",
    "%Y-%m-%dT%H:%M:%SZ": "iso_seconds", "%Y-%m-%dT%H:%M:%S.%_msZ": "iso_ms", "%Y-%m-%dT%H:%M:%S.%fZ": "iso",
    "%Y-%m-%dT%H:%M:%S.%msZ": "iso_ms",
}  # fmt: skip
_ISO_ZONED = frozenset({"%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S.%_ms%z", "%Y-%m-%dT%H:%M:%S%Z"})


def time_format(form: str) -> str:
    """How a time is written in requests."""
    if form in _FORMS:
        return _FORMS[form]
    if form in _ISO_ZONED:
        return form.replace("%_ms", "%f").replace("%Z", "%z")
    return form.replace("%_ms", "%f").replace("%ms", "%f")


def read_format(forms: list[str]) -> str | None:
    """How a field writes times, None where that is recognised: ISO 8601, and seconds and milliseconds since 1970."""
    found = [time_format(form) for form in forms]
    if not found or any(form in ("iso", "iso_seconds", "iso_ms", "date", "epoch", "epoch_ms", "epoch_us") for form in found):
        return None
    return None if any(form.startswith("%Y-%m-%d") and form[8:9] in ("T", " ", "") for form in found) else found[0]
