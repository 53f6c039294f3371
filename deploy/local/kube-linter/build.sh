#!/usr/bin/env bash
# build.sh PROGRAM   kube-linter from its pinned sources, unless it is there; needs go (some two minutes from nothing)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[ -x "$1" ] && exit
CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$1.new" golang.stackrox.io/kube-linter/cmd/kube-linter
mv "$1.new" "$1"
