#!/bin/sh
# Installs what the tests need beside Node: curl, for the load scripts, PostgreSQL, of which they run clusters of their
# own, and InfluxDB's shell and collectd, which they run as clients. On Debian as root only; elsewhere it says what is
# missing. Run by `npm test`.

set -eu

missing=''
command -v curl >/dev/null || missing='curl'
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v influx >/dev/null || missing="$missing influxdb-client"
[ -x /usr/sbin/collectd ] || missing="$missing collectd-core"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  # The package would start a server of its own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  # shellcheck disable=SC2086 # Names of packages, to be split.
  apt-get install --yes --no-install-recommends $missing
else
  echo "not installed: $missing; the tests that need them are going to be skipped or to fail" >&2
fi
