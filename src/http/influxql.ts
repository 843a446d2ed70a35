/**
 * As much of InfluxQL as clients of a write gateway send: which statements there are and what each is about. Pure; a
 * statement is known by its first words, and what follows them is not looked at.
 */

/** `create`: a database or a policy of one is to be there. `read` asks for points. */
export type Statement =
  | { readonly kind: 'create'; readonly database: string }
  | { readonly kind: 'databases' | 'read' | 'other' };

interface Token {
  readonly text: string;
  readonly kind: 'word' | 'identifier' | 'string';
}

const TOKENS = /\s+|--[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|;|[^\s;"']+/gsy;
const MAX_STATEMENTS = 100;
/** No form that is looked at is longer. */
const MAX_TOKENS = 6;

/** The statements in their order, or what is wrong with the text. */
export function parseStatements(text: string): readonly Statement[] | string {
  const statements: Statement[] = [];
  let tokens: Token[] = [];
  let at = 0;
  const end = (): string | undefined => {
    const statement = tokens.length === 0 ? undefined : statementOf(tokens);
    tokens = [];
    if (typeof statement === 'string') return statement;
    if (statement !== undefined) statements.push(statement);
    return statements.length > MAX_STATEMENTS ? `more than ${MAX_STATEMENTS} statements` : undefined;
  };
  for (const match of text.matchAll(TOKENS)) {
    at = match.index + match[0].length;
    const problem = match[0] === ';' ? end() : undefined;
    if (problem !== undefined) return problem;
    const token = tokenOf(match);
    if (token !== undefined && tokens.length < MAX_TOKENS) tokens.push(token);
  }
  if (at < text.length) return 'found an unterminated string';
  return end() ?? statements;
}

/** Undefined for blanks, comments and semicolons. */
function tokenOf([all, identifier, string]: RegExpExecArray): Token | undefined {
  if (identifier !== undefined) return { text: unescape(identifier), kind: 'identifier' };
  if (string !== undefined) return { text: unescape(string), kind: 'string' };
  return /^(\s|--|;)/.test(all) ? undefined : { text: all, kind: 'word' };
}

function unescape(text: string): string {
  return text.replace(/\\(.)/gs, (_all, char: string) => (char === 'n' ? '\n' : char));
}

function statementOf(tokens: readonly Token[]): Statement | string {
  const words = tokens.map(({ text, kind }) => (kind === 'word' ? text.toLowerCase() : ''));
  const starts = (...expected: string[]): boolean => expected.every((word, i) => words[i] === word);
  if (starts('create', 'database')) return create(tokens[2]);
  if (starts('create', 'retention', 'policy') || starts('alter', 'retention', 'policy')) {
    return words[4] === 'on' ? create(tokens[5]) : 'expected ON';
  }
  if (starts('show', 'databases')) return { kind: 'databases' };
  return { kind: starts('select') || starts('explain') ? 'read' : 'other' };
}

function create(name: Token | undefined): Statement | string {
  if (name === undefined || name.kind === 'string' || name.text === '' || name.text.includes('\0')) {
    return `found ${name?.kind === 'string' ? 'a string' : 'EOF'}, expected identifier`;
  }
  return { kind: 'create', database: name.text };
}
