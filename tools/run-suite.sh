#!/bin/sh
# Runs what `node tools/platforms.mjs suite RUNNER --pack FOLDER` packed, on any Linux x86-64, without a network or a Node: tar and either xz or Python
# are all it takes.
#   FOLDER/run-suite.sh OUTDIR [JOBS] [SECONDS of a file's limit] [FILE …]
# Without checkout.tar.xz beside it, it is begun at the root of a checkout of the same commit. OUTDIR gets NAME.json and NAME.log of each file of
# tests; those that have their NAME.json are not run again.
set -eu
out=${1:?run-suite.sh OUTDIR [JOBS] [SECONDS] [FILE …]}
jobs=${2:-1}
limit=${3:-900}
if [ $# -gt 3 ]; then shift 3; else shift $#; fi
pack=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
folder=/tmp/saqr-suite-$(cksum <"$pack/system.tar.xz" | cut -d' ' -f1)

unpack() {
  tar xJf "$1" -C "$folder" || python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$1" "$folder"
}

if [ ! -e "$folder/unpacked" ]; then
  mkdir -p "$folder/saqr"
  if [ -e "$pack/checkout.tar.xz" ]; then
    unpack "$pack/checkout.tar.xz"
  else
    tar c --exclude=./.git --exclude=./.venv --exclude=./node_modules --exclude=./dist --exclude=./native/build . | tar x -C "$folder/saqr"
  fi
  unpack "$pack/system.tar.xz"
  # younger than what it is made of, whenever that was copied
  touch "$folder/saqr/dist/.stamp" "$folder/unpacked"
fi
exec "$folder/bin/node" "$folder/saqr/tools/suite-run.mjs" "$folder" --out "$out" --jobs "$jobs" --limit "$limit" "$@"
