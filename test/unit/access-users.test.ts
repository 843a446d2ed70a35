import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createPasswordCheck,
  PASSWORD_CHECK_DEFAULTS,
  type PasswordCheck,
} from '../../src/access/password-check.ts';
import {
  hashPassword,
  hashToken,
  newToken,
  type PasswordHash,
  readPasswordHash,
} from '../../src/access/secrets.ts';
import { createUsers } from '../../src/access/users.ts';
import { readUsersFile } from '../../src/access/users-file.ts';
import { compilePatterns } from '../../src/guard/policy.ts';
import type { Access, Credentials, Principal } from '../../src/model/access.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

const TOKEN = newToken();
const TOKEN_HASH = hashToken(TOKEN);
const PASSWORD = 'correct horse';
const PASSWORD_HASH = hashPassword(PASSWORD);
const FILE = `
- name: agent
  tokenHash: ${TOKEN_HASH}
  tenant: team
  databases: [telegraf, 'app_.*']
  rights: [write]
- name: ann
  passwordHash: ${PASSWORD_HASH}
  rights: [write, create, read, admin]
- name: edge
  certificate: edge.example.org
  rights: [write]
- name: anonymous
  rights: [read]
  databases: [public]
`;

function problemsOf(text: string): readonly string[] {
  const read = readUsersFile(text, 'users.yaml', compilePatterns);
  return read.kind === 'invalid' ? read.problems : [];
}

function createCheck(options = {}): { check: PasswordCheck; clock: FakeClock; refusals: () => number } {
  const clock = new FakeClock();
  let refused = 0;
  const check = createPasswordCheck(
    { ...PASSWORD_CHECK_DEFAULTS, ...options },
    { clock, refused: () => void refused++ },
  );
  return { check, clock, refusals: () => refused };
}

function accessOf(text: string): Access {
  const read = readUsersFile(text, 'users.yaml', compilePatterns);
  assert.ok(read.kind === 'ok', JSON.stringify(read));
  return createUsers(read.users, createCheck().check);
}

describe('the users file', () => {
  const broken: readonly [what: string, text: string, problem: RegExp][] = [
    ['no list', 'name: x', /^users.yaml:1: must be a list of users/],
    ['no YAML', '- {', /^users.yaml:1: not YAML/],
    ['an entry that is no mapping', '- x', /^users.yaml:1: must be a user/],
    ['no name', `- tokenHash: ${TOKEN_HASH}\n  rights: [write]`, /^users.yaml:1: has no name$/],
    ['no secret', '- name: a\n  rights: [write]', /^users.yaml:1: has no tokenHash/],
    [
      'a secret of anonymous',
      `- name: anonymous\n  tokenHash: ${TOKEN_HASH}\n  rights: [read]`,
      /can have no secret/,
    ],
    [
      'a bad hash',
      '- name: a\n  tokenHash: geheim\n  rights: [write]',
      /^users.yaml:2: tokenHash must be a hash/,
    ],
    [
      'scrypt that is too weak',
      `- name: a\n  passwordHash: ${PASSWORD_HASH.replace(':15:', ':13:')}\n  rights: [write]`,
      /^users.yaml:2/,
    ],
    [
      'an unknown key',
      `- name: a\n  token: x\n  tokenHash: ${TOKEN_HASH}\n  rights: [write]`,
      /^users.yaml:2: no such key/,
    ],
    ['a key twice', `- name: a\n  name: b\n`, /^users.yaml:2: not YAML \(DUPLICATE_KEY\)/],
    [
      'an unknown right',
      `- name: a\n  tokenHash: ${TOKEN_HASH}\n  rights:\n    - write\n    - root`,
      /^users.yaml:5: no such right/,
    ],
    ['no rights', `- name: a\n  tokenHash: ${TOKEN_HASH}`, /^users.yaml:1: rights must be a list/],
    [
      'no databases',
      `- name: a\n  tokenHash: ${TOKEN_HASH}\n  rights: [write]\n  databases: []`,
      /^users.yaml:4: databases/,
    ],
    [
      'a bad pattern',
      `- name: a\n  tokenHash: ${TOKEN_HASH}\n  rights: [write]\n  databases: ['(']`,
      /^users.yaml:4: not a pattern/,
    ],
    [
      'a token of two users',
      `- name: a\n  tokenHash: ${TOKEN_HASH}\n  rights: [write]\n- name: b\n  tokenHash: ${TOKEN_HASH}\n  rights: [read]`,
      /several users have one tokenHash: "a", "b"/,
    ],
  ];
  for (const [what, text, problem] of broken) {
    it(`is refused with ${what}, and tells no secret`, () => {
      const problems = problemsOf(text);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] as string, problem);
      assert.ok(!problems.join().includes('geheim'));
    });
  }

  it('tells all mistakes at once', () => {
    assert.equal(problemsOf('- name: a\n  rights: [root]\n  tokenHash: x\n- 7').length, 3);
  });
});

describe('users', () => {
  const cases: readonly [what: string, Credentials | undefined, name: string | undefined][] = [
    ['a token', { kind: 'token', token: TOKEN }, 'agent'],
    ['a token in place of a password', { kind: 'password', user: 'any', password: TOKEN }, 'agent'],
    ['a password', { kind: 'password', user: 'ann', password: PASSWORD }, 'ann'],
    ['a wrong password', { kind: 'password', user: 'ann', password: 'x' }, undefined],
    ['the hash itself', { kind: 'token', token: TOKEN_HASH }, undefined],
    ['an unknown user', { kind: 'password', user: '__proto__', password: PASSWORD }, undefined],
    ['a certificate', { kind: 'certificate', names: ['x', 'edge.example.org'] }, 'edge'],
    ['a certificate of nobody', { kind: 'certificate', names: ['x'] }, 'anonymous'],
    ['nothing', undefined, 'anonymous'],
  ];
  for (const [what, shown, name] of cases) {
    it(`are known by ${what}: ${name ?? 'nobody'}`, async () => {
      assert.equal((await accessOf(FILE).identify(shown))?.name, name);
    });
  }

  it('are nobody without credentials when there is no anonymous entry', async () => {
    const text = `- name: a\n  tokenHash: ${TOKEN_HASH}\n  rights: [write]`;
    assert.equal(await accessOf(text).identify(undefined), undefined);
  });

  it('have their rights in their databases, whole names only, and never in all when they have some', async () => {
    const agent = (await accessOf(FILE).identify({ kind: 'token', token: TOKEN })) as Principal;
    const asked = ['telegraf', 'app_1', 'xapp_1', 'telegraf2', 'telegraf\n', '', undefined] as const;
    assert.deepEqual(
      asked.map((database) => agent.may('write', database)),
      [true, true, false, false, false, false, false],
    );
    assert.deepEqual([agent.may('create', 'telegraf'), agent.tenant], [false, 'team']);
  });

  it('have them everywhere when no databases are named', async () => {
    const ann = (await accessOf(FILE).identify({
      kind: 'password',
      user: 'ann',
      password: PASSWORD,
    })) as Principal;
    assert.deepEqual([ann.may('admin', undefined), ann.may('read', 'any')], [true, true]);
  });
});

describe('the check of passwords', () => {
  const hash = readPasswordHash(PASSWORD_HASH)!;

  it('computes a right one once', async () => {
    const { check } = createCheck();
    assert.equal(await check.matches(hash, PASSWORD), true);
    assert.equal(check.matches(hash, PASSWORD), true);
  });

  it('computes it once for all who ask meanwhile', async () => {
    const { check, refusals } = createCheck({ maxWaiting: 1 });
    const answers = Array.from({ length: 20 }, async () => check.matches(hash, PASSWORD));
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([true]));
    assert.equal(refusals(), 0);
  });

  it('remembers a wrong one for a while', async () => {
    const { check, clock } = createCheck();
    assert.equal(await check.matches(hash, 'wrong'), false);
    assert.equal(check.matches(hash, 'wrong'), false);
    await clock.advance(PASSWORD_CHECK_DEFAULTS.rememberWrongMs);
    assert.ok(check.matches(hash, 'wrong') instanceof Promise);
  });

  it('rests after a wrong one before it computes the next', async () => {
    const { check, clock } = createCheck();
    assert.equal(await check.matches(hash, 'wrong'), false);
    let ended = false;
    const next = Promise.resolve(check.matches(hash, PASSWORD)).then((good) => (ended = good));
    await clock.advance(PASSWORD_CHECK_DEFAULTS.restMs - 1);
    assert.equal(ended, false);
    await clock.advance(1);
    assert.equal(await next, true);
  });

  it('refuses what finds no place in line, for one user sooner than for all', async () => {
    const { check, refusals } = createCheck({ maxWaiting: 3, maxWaitingPerUser: 2 });
    const other = readPasswordHash(hashPassword('x'))!;
    const ask = async (of: PasswordHash, password: string): Promise<boolean> => check.matches(of, password);
    const waiting = [ask(hash, 'a'), ask(hash, 'b')];
    assert.throws(() => check.matches(hash, 'c'), { code: 'overload' });
    waiting.push(ask(other, 'x'));
    assert.throws(() => check.matches(other, 'y'), { code: 'overload' });
    assert.deepEqual([refusals(), check.stats().waiting], [2, 3]);
    check.close();
    await Promise.allSettled(waiting);
    assert.equal(check.stats().waiting, 0);
  });

  it('fails those in line when it is closed', async () => {
    const { check } = createCheck();
    const first = check.matches(hash, 'a');
    const second = check.matches(hash, 'b');
    check.close();
    const results = await Promise.allSettled([first, second]);
    assert.equal(results[1].status, 'rejected');
  });
});
