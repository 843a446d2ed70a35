/** Reads options from `SLUICE_…` environment variables; a name that stands for no option is a mistake. */
import { type Given, type GivenValue, unknownName } from './given.ts';
import type { OptionEntry } from './options.ts';

const PREFIX = 'SLUICE_';

/** Names the configuration file; not an option itself. */
export const CONFIG_VARIABLE = 'SLUICE_CONFIG';

/** The token of `sluice status` and its like; no option of the gateway. */
export const TOKEN_VARIABLE = 'SLUICE_ADMIN_TOKEN';

/**
 * Kubernetes puts variables like these into every container when a service is called sluice or sluice-something;
 * they are not ours, and refusing them would keep the gateway from starting. `SLUICE_PORT` is one of them only
 * when it holds a URL: with a number it is somebody's mistake.
 */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_URL = /^(tcp|udp|sctp):\/\//;

/** The options that the environment sets. Variables without our prefix are left alone. */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  entries: readonly OptionEntry[],
): Given {
  const byVariable = new Map(entries.map((entry) => [entry.variable, entry]));
  const values = new Map<string, GivenValue>();
  const problems: string[] = [];
  for (const [variable, raw] of Object.entries(env)) {
    if (
      raw === undefined ||
      !variable.startsWith(PREFIX) ||
      variable === CONFIG_VARIABLE ||
      variable === TOKEN_VARIABLE
    )
      continue;
    const entry = byVariable.get(variable);
    if (entry !== undefined) values.set(entry.path, { raw, source: variable });
    else if (!isServiceLink(variable, raw)) {
      problems.push(
        unknownName('variable', variable, [...byVariable.keys(), CONFIG_VARIABLE], 'environment'),
      );
    }
  }
  return { values, problems };
}

function isServiceLink(variable: string, raw: string): boolean {
  return SERVICE_LINK.test(variable) || (variable.endsWith('_PORT') && SERVICE_URL.test(raw));
}
