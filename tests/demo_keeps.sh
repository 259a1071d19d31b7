#!/bin/bash
# tests/demo_keeps.sh PROGRAM: scripts/demo refuses a folder that holds anything but a demo, and leaves it as it is.
set -euo pipefail
demo=$(dirname "$0")/../scripts/demo
folder=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-demo-XXXXXX")
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/cohort"
echo precious >"$folder/cohort/file"
if said=$("$demo" "$folder" 2>&1); then
  echo "demo: took a folder that is in use" >&2
  exit 1
fi
[ "$said" = "demo: $folder is in use and not by a demo; name a new or an empty folder" ] || { echo "$said" >&2; exit 1; }
[ "$(find "$folder" -type f)" = "$folder/cohort/file" ] && [ "$(cat "$folder/cohort/file")" = precious ]
