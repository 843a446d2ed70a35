/**
 * Sees to it that Debian's PostgreSQL is there: installs it when it is missing and this is root, and says what to do
 * when it is not. The package makes a cluster and starts it on port 5432; a policy keeps it from being started.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const VERSIONS = '/usr/lib/postgresql';
/** Test files run side by side: one installs, the others wait for it. */
const LOCK = '/tmp/sluice-postgres-install.lock';

const INSTALL = `set -e
if ls ${VERSIONS}/*/bin/initdb >/dev/null 2>&1; then exit 0; fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 postgresql; }
install || { apt-get update && install; }
`;

/** The folder of the newest server's programs. @throws when there is none and it can't be installed. */
export function requirePostgres(): string {
  const found = newest();
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0) {
    throw new Error(
      'these tests need PostgreSQL: apt-get install postgresql (as root they install it themselves)',
    );
  }
  execFileSync('flock', [LOCK, 'sh', '-c', INSTALL], { stdio: ['ignore', 'ignore', 'pipe'] });
  return newest() ?? '';
}

function newest(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const versions = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a));
  return versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')));
}
