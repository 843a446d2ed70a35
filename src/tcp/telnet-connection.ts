/**
 * One telnet connection: reads what has come, hands the whole lines of it to ingest as one batch, and reads on when they
 * are stored or parked, so that a sender is slowed down by not being read from. A last line without an end counts when
 * the client has closed in order, not when the connection broke. Lines are taken in their order.
 */
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { LineBuffer } from './line-buffer.ts';
import type { TelnetDeps, TelnetOptions } from './telnet.ts';
import { answerCommand } from './telnet-commands.ts';
import { takeLines } from './telnet-lines.ts';
import { TelnetReplies } from './telnet-replies.ts';

/** How long a client has to read the last that it is told. */
const LINGER_MS = 5_000;

/** A connection that is served. */
export interface TelnetConnection {
  /** Resolves when it is over. Never rejects. */
  readonly ended: Promise<void>;
  /** Takes what has come, then ends. */
  stop(): void;
}

/** Serves a connection to its end. */
export function serveTelnet(socket: Socket, options: TelnetOptions, deps: TelnetDeps): TelnetConnection {
  const session = new TelnetSession(socket, options, deps);
  return { ended: session.run(), stop: () => session.stop() };
}

class TelnetSession {
  readonly #socket: Socket;
  readonly #options: TelnetOptions;
  readonly #deps: TelnetDeps;
  readonly #buffer = new LineBuffer();
  readonly #replies: TelnetReplies;
  readonly #peer: string;
  #wake: (() => void) | undefined;
  /** Bytes that had come when the connection was told to stop; undefined: it was not. */
  #leftToTake: number | undefined;
  #busy = false;
  #broken = false;

  constructor(socket: Socket, options: TelnetOptions, deps: TelnetDeps) {
    this.#socket = socket;
    this.#options = options;
    this.#deps = deps;
    this.#peer = socket.remoteAddress ?? 'unknown';
    this.#replies = new TelnetReplies(socket, deps.clock, deps.metrics);
  }

  stop(): void {
    this.#leftToTake ??= this.#socket.readableLength;
    this.#wake?.();
  }

  async run(): Promise<void> {
    const socket = this.#socket;
    const wake = (): void => this.#wake?.();
    // Also for writes to a client that has gone: what it had sent before is still taken.
    socket.on('error', () => {
      this.#broken = true;
      wake();
    });
    socket.on('readable', wake).on('end', wake).on('close', wake);
    socket.on('timeout', () => {
      if (!this.#busy) this.stop();
    });
    socket.setTimeout(this.#options.idleTimeoutMs);
    try {
      await this.#serve();
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'a telnet connection failed');
    } finally {
      // A client that reads nothing would keep what it was told, and its place, for ever.
      socket.once('timeout', () => socket.destroy()).setTimeout(LINGER_MS);
      socket.destroySoon();
    }
  }

  async #serve(): Promise<void> {
    const principal = await this.#deps.identify(this.#socket);
    if (principal?.may('write', this.#options.database) !== true) {
      this.#deps.metrics.telnetRefused();
      this.#replies.answer(
        'put: permission denied: this port asks for credentials, which telnet can not show\n',
      );
      return this.#replies.flush();
    }
    const sender = { principal, peer: this.#peer };
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) {
      const lines = this.#buffer.push(chunk);
      if (lines !== undefined && !(await this.#take(lines, sender))) return;
      if (this.#buffer.pending > this.#options.lineBytes) {
        this.#replies.error(`put: illegal argument: line longer than ${this.#options.lineBytes} bytes`);
        return this.#replies.flush();
      }
      await this.#tell();
    }
    const last = this.#socket.readableEnded && !this.#broken ? this.#buffer.finish() : undefined;
    if (last !== undefined) await this.#take(last, sender);
    this.#replies.flush();
  }

  /** The bytes that have come; undefined: there will be no more, or they are not to be read. */
  async #next(): Promise<Buffer | undefined> {
    for (;;) {
      // Else a sender that never pauses could not be stopped.
      if (this.#leftToTake !== undefined && this.#leftToTake <= 0) return undefined;
      const chunk = this.#socket.read() as Buffer | null;
      if (this.#leftToTake !== undefined) this.#leftToTake -= chunk?.length ?? this.#leftToTake;
      if (chunk !== null) return chunk;
      if (this.#leftToTake !== undefined || this.#socket.readableEnded || this.#socket.destroyed)
        return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** False: the client wants to end. */
  async #take(lines: Buffer, sender: Parameters<typeof takeLines>[1]): Promise<boolean> {
    this.#busy = true;
    try {
      const { commands, refused, untold } = await takeLines(lines, sender, this.#options, this.#deps);
      for (const line of refused) this.#replies.error(`put: ${line}`);
      this.#replies.error(undefined, untold);
      for (const command of commands) {
        const mayRead = sender.principal.may('read', this.#options.database);
        const answer = await answerCommand(command, mayRead, this.#deps);
        if (answer === undefined) {
          this.#replies.flush();
          return false;
        }
        this.#replies.answer(answer);
      }
      return true;
    } finally {
      this.#busy = false;
    }
  }

  /** Writes replies when, after a turn of the loop, no more input has come. */
  async #tell(): Promise<void> {
    await setImmediate();
    if (this.#socket.readableLength === 0) this.#replies.flush();
  }
}
