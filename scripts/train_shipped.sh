#!/usr/bin/env bash
# Makes every checkpoint that ships, stage after stage, from one pack.  The same command goes on where it stopped.
#
#   scripts/train_shipped.sh PACK [OUTPUT] [flags of scripts/train_shipped.py, such as --dry_run or --stages sync]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$root/scripts/setup.sh")
exec "$python" "$root/scripts/train_shipped.py" "$@"
