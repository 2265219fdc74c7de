#!/usr/bin/env bash
# Lip-syncs the sample: makes demo.mp4 and demo.png, frames before and after with the mouth enlarged.
#
#   scripts/demo.sh [flags of generate.py, such as --quality best]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$root/scripts/setup.sh")
cd "$root"

"$python" generate.py --video scripts/demo/portrait.jpg --audio scripts/demo/speech.flac --output demo.mp4 "$@"
"$python" -m evaluation sheet scripts/demo/portrait.jpg demo.mp4 demo.png
