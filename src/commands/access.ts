/**
 * `sluice access`: makes entries for the users file (docs/security.md). The secret is made here, printed once, and only
 * its hash stands in the entry; no secret is an argument, for arguments are seen by all of the machine.
 */
import { hashPassword, hashToken, newToken } from '../access/secrets.ts';

const USAGE = `Usage: sluice access token NAME
       sluice access password NAME

Makes a new random secret and prints it, with the entry that belongs into the file
access.file. The entry holds only a hash of the secret; the secret is not shown again.

token       for programs; costs nothing to check
password    for clients that can only send a user and a password
`;

/** The text to print, and the exit code to end with. */
export function readAccessArguments(args: readonly string[]): {
  readonly kind: 'exit';
  readonly exitCode: 0 | 2;
  readonly text: string;
} {
  const [kind, name, ...rest] = args;
  if (kind === '--help' || kind === '-h') return { kind: 'exit', exitCode: 0, text: USAGE };
  const isKind = kind === 'token' || kind === 'password';
  if (!isKind || name === undefined || rest.length > 0 || !/^(?!-)\P{Cc}{1,255}$/u.test(name)) {
    return {
      kind: 'exit',
      exitCode: 2,
      text: `sluice: access takes token or password, and a name\n\n${USAGE}`,
    };
  }
  const secret = newToken();
  const hash = kind === 'token' ? `tokenHash: ${hashToken(secret)}` : `passwordHash: ${hashPassword(secret)}`;
  const entry = `- name: ${JSON.stringify(name)}\n  ${hash}\n  rights: [write, create]\n`;
  return { kind: 'exit', exitCode: 0, text: `# ${kind}: ${secret}\n${entry}` };
}
