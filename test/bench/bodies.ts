/** Request bodies for benchmarks: the same points as OpenTSDB JSON, as line protocol and as telnet lines. */

/** How many bodies, points in each, and distinct metrics and hosts among them. */
export interface BodyOptions {
  readonly files: number;
  readonly batch: number;
  readonly metrics: number;
  readonly hosts: number;
}

/** Bodies by protocol; the same seed gives the same bytes each time. */
export function benchBodies(options: BodyOptions): {
  opentsdb: Buffer[];
  line: Buffer[];
  telnet: Buffer[];
} {
  let state = 42;
  const random = (n: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const opentsdb: Buffer[] = [];
  const line: Buffer[] = [];
  const telnet: Buffer[] = [];
  for (let file = 0; file < options.files; file++) {
    const points: object[] = [];
    const lines: string[] = [];
    const puts: string[] = [];
    for (let i = 0; i < options.batch; i++) {
      const metric = `app.service.metric${random(options.metrics)}`;
      const host = `web${String(random(options.hosts)).padStart(4, '0')}`;
      const dc = ['lga', 'sjc', 'fra'][random(3)] as string;
      const cpu = String(random(8));
      const value = random(100_000_000) / 100;
      const seconds = 1_790_000_000 + file * options.batch + i;
      points.push({ metric, timestamp: seconds, value, tags: { host, dc, cpu } });
      lines.push(`${metric},host=${host},dc=${dc},cpu=${cpu} value=${value} ${seconds}000000000`);
      puts.push(`put ${metric} ${seconds} ${value} host=${host} dc=${dc} cpu=${cpu}`);
    }
    opentsdb.push(Buffer.from(JSON.stringify(points)));
    line.push(Buffer.from(`${lines.join('\n')}\n`));
    telnet.push(Buffer.from(`${puts.join('\n')}\n`));
  }
  return { opentsdb, line, telnet };
}
