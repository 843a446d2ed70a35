#!/bin/sh
# Steady line-protocol load on a running gateway, by POST /write.
#
# Usage: line.sh [URL] [SECONDS] [POINTS] [PARALLEL]
#
#   URL       the gateway (http://127.0.0.1:4242)
#   SECONDS   how long to send (10)
#   POINTS    lines per request (100)
#   PARALLEL  connections (4)
#
# Writes the measurements load_line_0 to load_line_19 of the database public, with the tags host and cpu and the
# fields busy, count, up and state, a millisecond apart, and prints the answers by status. Expected: only 204,
# apart from the first requests while the tables are being created.

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
        printf "load_line_%d,host=h%d,cpu=%d busy=%.3f,count=%di,up=true,state=\"ok\" %s\n", \
          p % 20, worker, p / 20, rand() * 100, first + r, time >file
      close(file)
    }
  }'
}

begin
for number in $(seq "$parallel"); do
  worker line "$number" '/write?db=public&precision=ms' &
  pids="$pids $!"
done
finish
