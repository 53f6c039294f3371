#!/usr/bin/env bash
# postgres.sh up DIR PORT      from nothing to a ready server on HOST:PORT, its data in DIR; prints its URL; idempotent
# postgres.sh down DIR PORT    stops it; data stay in DIR
# postgres.sh kill DIR PORT    SIGKILL of the server and its children, for outage tests
# HOST (127.0.0.1) is where it listens, PG_BIN where its programs are (Debian's newest). As root it runs as nobody.
set -euo pipefail
cmd=${1:-}; dir=${2:-}; port=${3:-15432}; host=${HOST:-127.0.0.1}
bin=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)}
[ -n "$dir" ] || { sed -n '2,5p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ -x "$bin/postgres" ] || { echo "postgres.sh: no PostgreSQL server (apt-get install postgresql, or PG_BIN)" >&2; exit 3; }
# Not below folders that only root may enter.
as() { if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups "$@"); else (cd / && "$@"); fi; }
runs() { grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null; }
pid_of() { local p; p=$(head -1 "$dir/data/postmaster.pid" 2>/dev/null) && runs "$p" && echo "$p"; }

case "$cmd" in
  up)
    mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
    if [ ! -e "$dir/data/PG_VERSION" ]; then
      [ "$(id -u)" != 0 ] || chown 65534:65534 "$dir"
      [ -e "$dir/password" ] || (umask 077; head -c 18 /dev/urandom | base64 | tr -d '/+=' >"$dir/password")
      [ "$(id -u)" != 0 ] || chown 65534:65534 "$dir/password"
      as "$bin/initdb" -D "$dir/data" -U emotune --auth=scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 5; }
      as sh -c "echo 'host all all all scram-sha-256' >>'$dir/data/pg_hba.conf'"
    fi
    # fsync off: what is committed survives a kill of the server, not of the machine.
    # A killed server that nobody has reaped would look alive to the next.
    pid_of >/dev/null || rm -f "$dir/data/postmaster.pid"
    pid_of >/dev/null || as "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 -o "-p $port -h $host -k '' -c fsync=off -c max_connections=200" start >"$dir/start.log" 2>&1 ||
      { cat "$dir/start.log" "$dir/data/log" >&2; exit 6; }
    echo "postgres://emotune:$(cat "$dir/password")@$host:$port/postgres" ;;
  down) [ ! -d "$dir" ] || ! pid_of >/dev/null || as "$bin/pg_ctl" -D "$dir/data" -w -m fast stop >/dev/null ;;
  kill)
    if p=$(pid_of); then
      all="$p $(pgrep -P "$p" | xargs)"
      kill -9 "$p"
      # Its children see that it is gone; the next start needs the last of them to have ended.
      for _ in $(seq 100); do
        left=; for p in $all; do if runs "$p"; then left=$p; fi; done
        [ -n "$left" ] || break
        sleep 0.05
      done
    fi ;;
  *) sed -n '2,5p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
