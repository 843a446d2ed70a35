/** Opens who may do what: the users of `access.file`, looked after while the gateway runs, or everybody. */
import { readFileSync } from 'node:fs';
import { createPasswordCheck, PASSWORD_CHECK_DEFAULTS } from './access/password-check.ts';
import { createUsers } from './access/users.ts';
import { readUsersFile } from './access/users-file.ts';
import type { Base } from './app-base.ts';
import { GatewayError } from './errors.ts';
import { compilePatterns } from './guard/policy.ts';
import { type Access, OPEN_ACCESS } from './model/access.ts';
import { createReload } from './util/reload.ts';

/** How often files are looked at for changes. */
export const RELOAD_CHECK_MS = 2_000;

/** Who is known, and how to read that again. */
export interface OpenedAccess {
  readonly access: Access;
  /** Reads the users again, on SIGHUP. Never throws. */
  readonly reload: () => void;
}

/** @throws {GatewayError} config_invalid with every mistake in the file */
export function openAccess({ config, clock, logger, metrics, stack }: Base): OpenedAccess {
  const { file } = config.access;
  if (file === '') return { access: OPEN_ACCESS, reload: () => undefined };
  const refused = (): void => metrics.http.accessRefused('busy');
  const check = createPasswordCheck(PASSWORD_CHECK_DEFAULTS, { clock, refused });
  stack.push('password check', async () => check.close());
  const current = { users: OPEN_ACCESS };
  const use = (): void => {
    const read = readUsersFile(textOf(file), file, compilePatterns);
    if (read.kind === 'invalid') throw new GatewayError('config_invalid', read.problems.join('; '));
    current.users = createUsers(read.users, check);
  };
  const { reloaded } = metrics;
  const reload = createReload(
    { what: 'users', files: [file], everyMs: RELOAD_CHECK_MS, use },
    { clock, logger, reloaded },
  );
  stack.push('users', () => reload.close());
  metrics.gauge('sluice_users_stale', '1 while the users in use are older than the file.', () =>
    Number(reload.stale),
  );
  metrics.gauge(
    'sluice_password_checks_waiting',
    'Passwords in line to be checked.',
    () => check.stats().waiting,
  );
  metrics.gauge(
    'sluice_passwords_remembered',
    'Checked passwords remembered.',
    () => check.stats().remembered,
  );
  return { access: { identify: (shown) => current.users.identify(shown) }, reload: () => reload.now() };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new GatewayError('config_invalid', `access.file ${JSON.stringify(file)} cannot be read`, { cause });
  }
}
