/** The version in package.json, which lies above this file both in the sources and in the build output. */
import { existsSync, readFileSync } from 'node:fs';

/** The gateway's version, such as `0.1.0`. */
export function packageVersion(): string {
  let url = new URL('../package.json', import.meta.url);
  while (!existsSync(url) && url.pathname !== '/package.json') url = new URL('../package.json', url);
  const { version } = JSON.parse(readFileSync(url, 'utf8')) as { readonly version: string };
  return version;
}
