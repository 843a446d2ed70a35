/** Writes docs/configuration.md from the option table; `npm run docs` stores it, a test keeps it current. */
import { displayValue } from './option.ts';
import { ALL_OPTIONS, type Config, type OptionEntry } from './options.ts';

const GROUPS: Readonly<Record<keyof Config, string>> = {
  listen: 'The socket that all HTTP protocols share.',
  telnet: "OpenTSDB's telnet protocol, on the same port.",
  access: 'Who may do what (docs/security.md).',
  tls: 'TLS on the one port (docs/security.md).',
  shutdown: 'Stopping.',
  log: 'Structured logs (JSON lines) on standard output.',
  limits: 'What one client may send. What is over a limit is refused and named in the answer.',
  opentsdb: 'How OpenTSDB points become rows.',
  aliases: "The paths of GreptimeDB and VictoriaMetrics for OpenTSDB's and InfluxDB's protocols.",
  influx: 'Details of the InfluxDB protocols.',
  dictionary: 'The series dictionary of the parsers.',
  sink: 'Where points go.',
  duckdb: 'The embedded database.',
  sql: 'Reading by SQL.',
  postgres:
    'PostgreSQL, when `sink.kind` is `postgres`. It may be down, at the start too: rows wait in the spool meanwhile.',
  greptimedb:
    'GreptimeDB, when `sink.kind` is `greptimedb`. It may be down, at the start too: rows wait in the spool meanwhile.',
  flush: 'Writing to the database, and when a write is acknowledged.',
  spool: 'Rows on disk: the log, and rows that wait for their table or for the database ("parked").',
  deadLetter: 'Rows that can never be written and whose sender was told otherwise.',
  guard:
    'Admission of new tables and columns. "Come again" is a 503 with Retry-After; known tables are not affected.',
  policy: 'Which tables, columns and databases may be created. What may not is refused for good (4xx).',
  ddl: 'The queue of creations, and how failed ones are retried. All times get a jitter of 20 %.',
  gateway: 'This gateway among others.',
  etcd: 'The etcd that holds the queue when `ddl.store` is `etcd`. It may be down, at the start too: known tables flow.',
  protect: 'Watermarks: what is relieved when the gateway, its disk or the control plane has too much.',
};

const HEAD = `# Configuration

<!-- Generated from src/config/options-*.ts by \`npm run docs\`. Do not edit. -->

One YAML file, named by \`--config FILE\` or \`SLUICE_CONFIG\`; without one, the defaults below apply. Options are
nested by group:

\`\`\`yaml
listen:
  port: 4242
policy:
  deny: ['tmp\\..*', 'debug\\..*']
\`\`\`

Each option can also be set by the environment variable given with it, which wins over the file. Sizes are in bytes
or with a unit (\`B\`, \`KiB\`, \`MiB\`, \`GiB\`), times in milliseconds or with a unit (\`ms\`, \`s\`, \`m\`, \`h\`). Lists in
variables are separated by commas; a pattern that itself holds a comma has to be in the file. RE2 patterns always
have to match the whole name.

The gateway does not start with a configuration that has mistakes. It prints all of them, each with option, value and
place, and ends with exit code 2; \`--check-config\` does only that, and \`--print-config\` prints the values in effect.
Unknown options and unknown \`SLUICE_\` variables are mistakes too, except those that Kubernetes sets for services named
\`sluice\` or \`sluice-…\`.
`;

/** The whole text of docs/configuration.md. */
export function renderConfigurationDocs(): string {
  const sections = Object.entries(GROUPS).map(([group, doc]) => {
    const rows = ALL_OPTIONS.filter((entry) => entry.group === group);
    return `## ${group}\n\n${doc}\n\n${rows.map(renderOption).join('\n')}`;
  });
  return [HEAD, ...sections].join('\n');
}

function renderOption({ path, variable, option }: OptionEntry): string {
  const facts = [`\`${variable}\``, `default \`${displayValue(option, option.default)}\``, option.allowed];
  if (option.zero !== undefined) facts.push(`0: ${option.zero}`);
  if (option.secret === true) facts.push('secret');
  return `### ${path}\n\n${option.doc}\n\n${facts.map((fact) => `- ${fact}\n`).join('')}`;
}
