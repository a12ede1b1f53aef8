#!/usr/bin/env python3
"""A small tap: people in the order of a number, an inclusive bookmark as many taps have, and every way of misbehaving."""

import json
import os
import sys
import time


def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def load(name):
    with open(option(name)) as file:
        return json.load(file)


def main():  # noqa: C901
    config = load("--config")
    assert config["token"] not in " ".join(sys.argv)
    assert config["token"] not in "".join(os.environ.values())
    assert os.stat(option("--config")).st_mode & 0o77 == 0
    mode, count = config.get("mode", ""), int(config.get("count", 60))
    schema = {"type": "object", "properties": {name: {} for name in ("id", "at", "name", "secret")}}
    if "--discover" in sys.argv:
        print(
            json.dumps(
                {
                    "streams": [
                        {
                            "tap_stream_id": name,
                            "stream": name,
                            "schema": schema,
                            "metadata": [{"breadcrumb": [], "metadata": {"inclusion": "available"}}],
                        }
                        for name in ("people", "others")
                    ]
                }
            )
        )
        return 0
    catalog = load("--catalog")
    (chosen,) = catalog["streams"]
    fields = {one["breadcrumb"][1] for one in chosen["metadata"] if one["breadcrumb"] and one["metadata"].get("selected")}
    state = load("--state") if option("--state") else {}
    start = state.get("bookmarks", {}).get("people", 0)
    version = 8 if mode == "replaced" else 7
    start = 0 if mode == "replaced" else start
    if mode == "flood":
        sys.stderr.write("x" * 3_000_000)
    say(type="SCHEMA", stream="people", schema=schema, key_properties=["id"])
    for number in range(start, count):
        record = {"id": number, "at": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z", "name": f"n{number}", "secret": "s"}
        record = {name: value for name, value in record.items() if name in fields}
        if mode == "deletes" and number % 10 == 0:
            record["_sdc_deleted_at"] = "2026-02-01T00:00:00Z"
        say(
            type="RECORD",
            stream="people",
            record=record,
            **({"version": version} if mode in ("versions", "unactivated", "replaced") else {}),
        )
        say(type="RECORD", stream="others", record={"id": 1})
        if number % 7 == 6:
            say(type="STATE", value={"bookmarks": {"people": number}})
        if number == 30 and mode == "crash":
            sys.stderr.write(f"CRITICAL refused with {config['token']} for ann@example.com\n")
            sys.stderr.flush()
            os._exit(3)
        if number == 30 and mode == "hang":
            time.sleep(600)
        if number == 30 and mode == "nonsense":
            print("INFO reading people")
        if number == 30 and mode == "long":
            while True:
                sys.stdout.write("x" * 1_000_000)
    if mode in ("versions", "replaced"):
        say(type="ACTIVATE_VERSION", stream="people", version=version)
    say(type="STATE", value={"bookmarks": {"people": max(count - 1, 0)}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
