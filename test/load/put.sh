#!/bin/sh
# Steady OpenTSDB load on a running gateway, by POST /api/put.
#
# Usage: put.sh [URL] [SECONDS] [POINTS] [PARALLEL]
#
#   URL       the gateway (http://127.0.0.1:4242)
#   SECONDS   how long to send (10)
#   POINTS    points per request (100)
#   PARALLEL  connections (4)
#
# Writes the metrics load.put.0 to load.put.19 with the tags host and cpu, a millisecond apart, and prints the
# answers by status. Expected: only 204, apart from the first requests while the tables are being created.

# shellcheck source=test/load/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in -h | --help)
  usage
  exit 0
  ;;
esac
url=${1:-http://127.0.0.1:4242}
seconds=${2:-10}
points=${3:-100}
parallel=${4:-4}
whole SECONDS "$seconds"
whole POINTS "$points"
whole PARALLEL "$parallel"

bodies() {
  awk -v folder="$1" -v worker="$3" -v first="$4" -v batch="$BATCH" -v points="$points" -v start="$started" 'BEGIN {
    srand(first + worker)
    for (r = 0; r < batch; r++) {
      file = folder "/" r
      time = sprintf("%.0f", start * 1000 + first + r)
      for (p = 0; p < points; p++)
        printf "%s{\"metric\":\"load.put.%d\",\"timestamp\":%s,\"value\":%.3f,\"tags\":{\"host\":\"h%d\",\"cpu\":\"%d\"}}", \
          p ? "," : "[", p % 20, time, rand() * 100, worker, p / 20 >file
      print "]" >file
      close(file)
    }
  }'
}

begin
for number in $(seq "$parallel"); do
  worker put "$number" /api/put &
  pids="$pids $!"
done
finish
