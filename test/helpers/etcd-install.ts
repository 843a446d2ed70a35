/**
 * Sees to it that Debian's etcd is there: installs it when it is missing and this is root, and says what to do when it
 * is not. The package enables a systemd unit on port 2379; a policy keeps it from being started.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** The server, and the client that sets up users and takes alarms back. */
export const ETCD = '/usr/bin/etcd';
export const ETCDCTL = '/usr/bin/etcdctl';

/** Test files run side by side: one installs, the others wait for it. */
const LOCK = '/tmp/sluice-etcd-install.lock';

const INSTALL = `set -e
if [ -x ${ETCD} ] && [ -x ${ETCDCTL} ]; then exit 0; fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 etcd-server etcd-client; }
install || { apt-get update && install; }
`;

/** @throws when etcd is missing and can't be installed. */
export function requireEtcd(): void {
  if (existsSync(ETCD) && existsSync(ETCDCTL)) return;
  if (process.getuid?.() !== 0) {
    throw new Error(
      'these tests need etcd: apt-get install etcd-server etcd-client (as root they install it themselves)',
    );
  }
  execFileSync('flock', [LOCK, 'sh', '-c', INSTALL], { stdio: ['ignore', 'ignore', 'pipe'] });
}
