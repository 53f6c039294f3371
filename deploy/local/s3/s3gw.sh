#!/usr/bin/env bash
# s3gw.sh build | up|down DIR PORT | user DIR PORT ACCESS SECRET
# versitygw on HOST:PORT (HOST: 127.0.0.1), objects below DIR/data. BIN overrides the binary. Keys: S3_ACCESS/S3_SECRET.
# user: another one, with no right to any bucket, unless a policy of the bucket gives it
# --concurrency 1: without it two concurrent puts with If-None-Match can both win (check, then link); with it 1 winner in every race
# build: from the pinned source, unless it is there; needs go
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); bin=${BIN:-$here/bin/versitygw}; cmd=${1:-}; dir=${2:-}; port=${3:-17070}; host=${HOST:-127.0.0.1}
pid_of() { local p; p=$(cat "$dir/pid" 2>/dev/null) || return 1; [ -n "$p" ] && kill -0 "$p" 2>/dev/null && [ "$(readlink -f /proc/$p/exe)" = "$(readlink -f "$bin")" ] && echo "$p"; }
[ "$cmd" = build ] || : "${dir:?DIR}"
case "$cmd" in
  build) [ -x "$bin" ] || CGO_ENABLED=0 GOBIN=$(dirname "$bin") go install -trimpath -ldflags '-s -w' github.com/versity/versitygw/cmd/versitygw@v1.7.0 ;;
  up) mkdir -p -m 700 "$dir"; mkdir -p "$dir/data" "$dir/versions" "$dir/iam"; dir=$(cd "$dir" && pwd)
    if p=$(pid_of); then echo "already up, pid $p"; exit 0; fi
    meta=(); touch "$dir/data/.x"; setfattr -n user.probe -v 1 "$dir/data/.x" 2>/dev/null || { command -v setfattr >/dev/null && { mkdir -p "$dir/meta"; meta=(--sidecar "$dir/meta"); }; }; rm -f "$dir/data/.x"
    ROOT_ACCESS_KEY=${S3_ACCESS:-testaccess} ROOT_SECRET_KEY=${S3_SECRET:-testsecret} VGW_KEEP_ALIVE=true setsid nohup "$bin" --port "$host:$port" --health /healthz --quiet --iam-dir "$dir/iam" posix --concurrency 1 --versioning-dir "$dir/versions" "${meta[@]}" "$dir/data" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    # Until it is that program it is the shell that starts it.
    for _ in $(seq 1200); do kill -0 "$(cat "$dir/pid")" 2>/dev/null || { tail -5 "$dir/log" >&2; exit 6; }; p=$(pid_of) && (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null && { echo "up, pid $p"; exit 0; }; sleep 0.05; done; exit 7 ;;
  user) "$bin" admin -a "${S3_ACCESS:-testaccess}" -s "${S3_SECRET:-testsecret}" --endpoint-url "http://$host:$port" create-user --access "${4:?ACCESS}" --secret "${5:?SECRET}" --role user ;;
  down) [ -d "$dir" ] || exit 0; dir=$(cd "$dir" && pwd); if p=$(pid_of); then kill "$p"; for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.05; done; kill -9 "$p" 2>/dev/null || true; fi; rm -f "$dir/pid" ;;
esac
