"""One router per page, found by its file; its template lies in `templates`, its test in `tests/ui`."""
