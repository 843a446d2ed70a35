# shellcheck shell=sh disable=SC2154 # url and seconds are set by the script
# What the load scripts share: workers that send until a deadline, and the table of answers at the end.
# A script sets $url and $seconds, defines bodies(), calls begin, worker … & and finish.

set -eu

# Requests that one run of curl sends over one connection.
BATCH=20

# Prints the comment at the top of the script.
usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

# whole NAME VALUE: ends the script unless the value is a whole number above 0.
whole() {
  case $2 in
    '' | 0* | *[!0-9]*)
      echo "$1 must be a whole number above 0, not \"$2\"; see --help" >&2
      exit 2
      ;;
  esac
}

begin() {
  work=$(mktemp -d)
  pids=''
  trap 'rm -rf "$work"' EXIT
  trap 'kill $pids 2>/dev/null; wait; exit 130' INT TERM
  started=$(date +%s)
  deadline=$((started + seconds))
}

# worker STREAM NUMBER PATH: sends what `bodies FOLDER STREAM NUMBER FIRST` writes (files 0 to BATCH-1 in the
# folder, FIRST being the number of the first request) until the deadline, once at least. Waits 10 s for an answer.
worker() {
  folder=$work/$1.$2
  mkdir "$folder"
  awk -v batch="$BATCH" -v url="$url$3" -v folder="$folder" 'BEGIN {
    for (i = 0; i < batch; i++) {
      printf "%surl = \"%s\"\ndata-binary = \"@%s/%d\"\noutput = /dev/null\nmax-time = 10\n", \
        i ? "next\n" : "", url, folder, i
      printf "header = \"Content-Type: application/octet-stream\"\nwrite-out = \"%%{http_code} %%{time_total}\\n\"\n"
    }
  }' >"$folder/curl"
  first=0
  while :; do
    bodies "$folder" "$1" "$2" "$first"
    curl --silent --fail-early --config "$folder/curl" >>"$work/$1.answers" || sleep 1
    [ "$(date +%s)" -lt "$deadline" ] || break
    first=$((first + BATCH))
  done
}

# Waits for the workers and prints, per stream and status, how many answers there were and how long they took.
# Status 000 is no answer at all. Ends with 1 when there was none of another kind.
finish() {
  wait
  printf '%-10s %6s %10s %10s %10s\n' stream status requests mean_ms max_ms
  for answers in "$work"/*.answers; do
    stream=$(basename "$answers" .answers)
    awk -v stream="$stream" '
      { count[$1]++; sum[$1] += $2; if ($2 > max[$1]) max[$1] = $2 }
      END {
        for (s in count)
          printf "%-10s %6s %10d %10.1f %10.1f\n", stream, s, count[s], sum[s] / count[s] * 1000, max[s] * 1000
      }' "$answers" | sort
  done
  if ! grep -qv '^000' "$work"/*.answers; then
    echo "nobody answers at $url" >&2
    exit 1
  fi
}
