#!/bin/sh
# Checks the four prerequisites, one line for each that is missing, then hands over to scripts/setup.py.
cd "$(dirname "$0")/.." || exit 1
missing=0
say() { echo "$1" >&2; missing=1; }

case "$(uname -s)" in
  Linux | Darwin) ;;
  *) say "wrong operating system $(uname -s): use Linux or macOS (on Windows: WSL)" ;;
esac

command -v make >/dev/null 2>&1 || say "missing make: install make (Debian: apt install make; macOS: xcode-select --install)"

python=
for candidate in ${SPINE_PYTHON:-python3.11 python3.12 python3}; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || say "missing Python 3.11 or 3.12 (with its venv module): install Python 3.11 (Debian: apt install python3.11-venv; macOS: brew install python@3.11)"

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
found=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
[ "$found" = 17 ] || say "$([ -n "$found" ] && echo "wrong Java $found" || echo "missing Java 17"): install Java 17 (Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME to one"

[ "$missing" = 0 ] || exit 1
[ "${1:-}" = --check ] && exit 0
exec "$python" -I scripts/setup.py "$@"
