#!/bin/sh
# Everything that is to be known of a GPU, in one call: see call.py. Needs the folder that prepare.py makes, which may
# also be copied alone: it holds this script.
#
#     benchmarks/gpu/run.sh --limit 450 --out FOLDER      # seconds in all; results.jsonl and table.txt go there
set -eu
here=$(cd "$(dirname "$0")" && pwd)
carry=$here/carry
[ -d "$carry" ] || carry=$here
[ -d "$carry/code" ] || { echo "run.sh: expected $carry/code, got none. Run benchmarks/gpu/prepare.py first." >&2; exit 1; }
export PYTHONPATH="$carry/code:$carry/code/tests:$carry/packages"
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true
exec "${PYTHON:-python3}" "$carry/code/benchmarks/gpu/call.py" --carry "$carry" "$@"
