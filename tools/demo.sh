#!/usr/bin/env bash
# From nothing but Python to a report: simulated actors, a cache, an ANN for both heads, a page. About five minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh ""

out=demo
[ -e "$out/actors/simulated.json" ] && rm -rf "$out" # an earlier demo's; anything else there is refused below
skelemo synth "$out/actors" --form affwild2 --subjects 30 --clips 2 --frames 450 --seed 1
skelemo ingest "$out/actors/json" --labels "affwild2:$out/actors/affwild2" --out "$out/cache"
skelemo train --arch ann --data "$out/cache" --head both --config configs/demo.yaml --out "$out/run"
skelemo report "$out/run" --out "$out/report"
