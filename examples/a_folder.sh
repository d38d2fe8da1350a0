#!/bin/sh
# A folder of clips, at any depth. Start it again after an interruption: what is finished is skipped,
# and a clip that fails is named at the end instead of ending the others (exit status 3).
set -eu
cd "$(dirname "$0")"
video2pose3d batch . -o out-folder --no-overlay --no-animation
