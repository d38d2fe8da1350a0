#!/bin/sh
# One clip: poses.npz, a BVH for each person, overlay.mp4, animation.mp4 and report.json in out/walk/.
# --height sets the scale to the person's own; --fov the lens, where you know it.
set -eu
cd "$(dirname "$0")"
video2pose3d walk.mp4 -o out --height 1.77 --fov 49 --overwrite
