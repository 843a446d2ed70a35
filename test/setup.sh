#!/bin/sh
# Installs what the tests need beside Node: curl, for the load scripts. On Debian as root only; elsewhere it says what
# is missing, and the tests that need it are skipped with that reason. Run by `npm test`.

set -eu

command -v curl >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install --yes --no-install-recommends curl
else
  echo 'curl is not installed; the tests of the load scripts are going to be skipped' >&2
fi
