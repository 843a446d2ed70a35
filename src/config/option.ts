/**
 * The kinds of options. A kind turns the text of a value, as it stands in the file or in an environment variable,
 * into a typed value, or says what is allowed. Both sources go through the same code, so a value means the same in
 * either. Used by the option tables (options-*.ts) only; reading files and variables is load's task.
 */

/** A value as it was given: the text of one scalar, or the texts of a YAML sequence. */
export type RawValue = string | readonly string[];

/** One option, whatever its kind. */
export interface Option<T> {
  readonly kind: 'text' | 'integer' | 'boolean' | 'choice' | 'list' | 'bytes' | 'milliseconds';
  readonly default: T;
  /** What is allowed, as it follows "must be": `an integer from 0 to 65535`. */
  readonly allowed: string;
  /** For docs/configuration.md: what it does and when to change it. */
  readonly doc: string;
  /** What 0 does; undefined when 0 is not allowed or has no meaning of its own. */
  readonly zero?: string;
  /** True: the value never appears in output or messages. */
  readonly secret?: boolean;
  /** The typed value, or undefined when it is not allowed. */
  read(raw: RawValue): T | undefined;
}

interface Common<T> {
  readonly default: T;
  readonly doc: string;
  readonly secret?: boolean;
}

interface Range extends Common<number> {
  /** Inclusive. */
  readonly min: number;
  /** Inclusive. */
  readonly max: number;
  readonly zero?: string;
}

const BYTE_UNITS = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
]);

const TIME_UNITS = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** A whole number. */
export function integer(spec: Range): Option<number> {
  return {
    ...spec,
    kind: 'integer',
    allowed: `an integer from ${spec.min} to ${spec.max}`,
    read: (raw) => inRange(quantity(raw, new Map()), spec),
  };
}

/** A number of bytes; accepts `32MiB` beside `33554432`. */
export function bytes(spec: Range): Option<number> {
  return {
    ...spec,
    kind: 'bytes',
    allowed: `a size from ${inUnits(spec.min, BYTE_UNITS)} to ${inUnits(spec.max, BYTE_UNITS)}`,
    read: (raw) => inRange(quantity(raw, BYTE_UNITS), spec),
  };
}

/** A time in milliseconds; accepts `30s` beside `30000`. */
export function milliseconds(spec: Range): Option<number> {
  return {
    ...spec,
    kind: 'milliseconds',
    allowed: `a time from ${inUnits(spec.min, TIME_UNITS)} to ${inUnits(spec.max, TIME_UNITS)}`,
    read: (raw) => inRange(quantity(raw, TIME_UNITS), spec),
  };
}

/** `true` or `false`, in exactly these letters. */
export function flag(spec: Common<boolean>): Option<boolean> {
  return {
    ...spec,
    kind: 'boolean',
    allowed: 'true or false',
    read: (raw) => (raw === 'true' ? true : raw === 'false' ? false : undefined),
  };
}

/** One of a few words. */
export function choice<const V extends string>(values: readonly V[], spec: Common<NoInfer<V>>): Option<V> {
  return {
    ...spec,
    kind: 'choice',
    allowed: `one of ${values.join(', ')}`,
    read: (raw) => values.find((value) => value === raw),
  };
}

/** Text that passes `test`; `allowed` says in words what that is. */
export function text(
  spec: Common<string> & { readonly allowed: string; test(value: string): boolean },
): Option<string> {
  return {
    ...spec,
    kind: 'text',
    read: (raw) => (typeof raw === 'string' && spec.test(raw) ? raw : undefined),
  };
}

/** A YAML sequence, or text separated by commas; each item passes `test`. The empty text is the empty list. */
export function list(
  spec: Common<readonly string[]> & { readonly allowed: string; test(item: string): boolean },
): Option<readonly string[]> {
  return {
    ...spec,
    kind: 'list',
    read(raw) {
      const items = typeof raw === 'string' ? splitList(raw) : raw;
      return items.every((item) => spec.test(item)) ? items : undefined;
    },
  };
}

/** A value in the words of docs/configuration.md: `32MiB` for 33554432 bytes. */
export function displayValue(option: Option<unknown>, value: unknown): string {
  if (option.kind === 'bytes') return inUnits(value as number, BYTE_UNITS);
  if (option.kind === 'milliseconds') return inUnits(value as number, TIME_UNITS);
  return typeof value === 'string' ? value || "''" : JSON.stringify(value);
}

function splitList(raw: string): readonly string[] {
  return raw.trim() === '' ? [] : raw.split(',').map((item) => item.trim());
}

/** Digits with an optional unit; undefined for anything else, signs and fractions included. */
function quantity(raw: RawValue, units: ReadonlyMap<string, number>): number | undefined {
  const match = typeof raw === 'string' ? /^(\d{1,15}) ?([A-Za-z]*)$/.exec(raw) : null;
  if (match === null) return undefined;
  const [, digits, unit] = match;
  const factor = unit === '' ? 1 : units.get(unit as string);
  return factor === undefined ? undefined : Number(digits) * factor;
}

function inRange(value: number | undefined, { min, max }: Range): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

/** The value in the largest unit that divides it. */
function inUnits(value: number, units: ReadonlyMap<string, number>): string {
  if (value === 0) return '0';
  const [unit, factor] = [...units].filter(([, size]) => value % size === 0).at(-1) as [string, number];
  return `${value / factor}${unit}`;
}
