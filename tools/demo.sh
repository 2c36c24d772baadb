#!/usr/bin/env bash
# From nothing but Python to predictions: simulated actors, a cache, an ANN for both heads, a page, and a recording
# that nothing was trained on. About a minute on one core, plus the installation.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh "[video]"

out=demo
[ -e "$out/actors/simulated.json" ] && rm -rf "$out" # an earlier demo's; anything else there is refused below
skelemo synth "$out/actors" --form affwild2 --subjects 24 --clips 2 --frames 450 --seed 1
mkdir "$out/held_back" # all recordings of the first actor; their labels stay unused
awk -F, '$3 == 0 { print $1 }' "$out/actors/truth/affwild2/clips.csv" | sort -u | while read -r video; do
    mv "$out/actors/json/$video" "$out/held_back/"
done
skelemo ingest "$out/actors/json" --labels "affwild2:$out/actors/affwild2" --out "$out/cache"
skelemo train --arch ann --data "$out/cache" --head both --config configs/demo.yaml --set epochs=12 \
    --out "$out/run"
skelemo report "$out/run" --out "$out/report"
video=$(ls "$out/held_back" | head -1)
skelemo predict "$out/run" "$out/held_back/$video" --smooth 9 --out "$out/predictions.csv" --overlay "$out/overlay.mp4"
echo "report: $out/report/report.html"
echo "$out/held_back/$video was held back from training; predictions: $out/predictions.csv, drawn: $out/overlay.mp4"
