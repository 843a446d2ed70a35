#!/bin/sh
# A storm of metrics whose tables cannot be created, beside healthy traffic, on a running gateway.
#
# Usage: storm.sh [URL] [SECONDS] [METRICS] [PATTERN] [PARALLEL]
#
#   URL       the gateway (http://127.0.0.1:4242)
#   SECONDS   how long to send (20)
#   METRICS   distinct names in the storm (5000); they come round again and again, 50 in a request
#   PATTERN   their names, %d stands for the number ('storm.%d')
#   PARALLEL  connections of the storm (4); the healthy traffic has 2
#
# What makes the creation fail is up to the gateway's configuration. With the embedded database, one of
#
#   SLUICE_POLICY_DENY='storm\..*' npm start                   the names are denied: 400, no attempt ever
#   SLUICE_POLICY_MAX_TABLES_PER_DATABASE=50 npm start         a budget of tables: 400 beyond it
#   SLUICE_GUARD_CREATES_PER_SEC_PER_TENANT=1 npm start        a throttle: 503, a table per second after the burst
#
# DuckDB itself refuses no name that gets this far. With none of these settings the names are ordinary ones: their
# tables are made, as fast as the throttle lets them (503 for the others), up to 20000.
#
# The tables of the healthy traffic, load.healthy.0 to load.healthy.19, are made before the storm begins. Prints the
# answers of both streams by status. Expected: the healthy stream has only 204. Then the change of the gateway's
# counters of DDL and of the guard follows: they show how little of the storm came through to the database.

# shellcheck source=test/load/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in -h | --help)
  usage
  exit 0
  ;;
esac
url=${1:-http://127.0.0.1:4242}
seconds=${2:-20}
metrics=${3:-5000}
pattern=${4:-storm.%d}
parallel=${5:-4}
whole SECONDS "$seconds"
whole METRICS "$metrics"
whole PARALLEL "$parallel"
case $pattern in *[\"\\]*)
  echo 'PATTERN must not hold quotes or backslashes' >&2
  exit 2
  ;;
esac

bodies() {
  names=$pattern count=$metrics
  if [ "$2" = healthy ]; then names=load.healthy.%d count=20; fi
  awk -v folder="$1" -v worker="$3" -v first="$4" -v batch="$BATCH" -v names="$names" -v count="$count" \
    -v start="$started" 'BEGIN {
    srand(first + worker)
    for (r = 0; r < batch; r++) {
      file = folder "/" r
      time = sprintf("%.0f", start * 1000 + first + r)
      for (p = 0; p < 50; p++) {
        name = names
        sub(/%d/, ((first + r + worker * 7) * 50 + p) % count, name)
        printf "%s{\"metric\":\"%s\",\"timestamp\":%s,\"value\":%.3f,\"tags\":{\"host\":\"h%d\",\"n\":\"%d\"}}", \
          p ? "," : "[", name, time, rand() * 100, worker, p / 20 >file
      }
      print "]" >file
      close(file)
    }
  }'
}

counters() {
  curl --silent --fail --max-time 10 "$url/metrics" | grep -E '^sluice_(ddl|guard)_[a-z_]*total' || true
}

# Sends one healthy request until it is stored, six times at most; curl waits as long as the gateway says.
make_healthy_tables() {
  mkdir "$work/first"
  bodies "$work/first" healthy 0 0
  curl --silent --fail --max-time 10 --retry 5 --output /dev/null \
    --header 'Content-Type: application/octet-stream' --data-binary "@$work/first/0" "$url/api/put"
}

begin
make_healthy_tables || echo 'the tables of the healthy traffic could not be made' >&2
counters >"$work/before"
for number in 1 2; do
  worker healthy "$number" /api/put &
  pids="$pids $!"
done
for number in $(seq "$parallel"); do
  worker storm "$number" /api/put &
  pids="$pids $!"
done
finish
counters >"$work/after"
awk 'NR == FNR { before[$1] = $2; next } $2 != before[$1] { printf "%s +%d\n", $1, $2 - before[$1] }' \
  "$work/before" "$work/after"
