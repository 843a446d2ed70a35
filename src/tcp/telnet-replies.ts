/**
 * What is written back on a telnet connection. Most senders never read, so error lines are bounded and given up rather
 * than waited for; and none is written while input waits, for an answer to a client that has closed resets the connection
 * and with it what it had sent (protocols.md 3). Answers to commands go out in their order before such errors.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../model/clock.ts';

/** Error lines of one second and connection; the rest is counted into one line. */
const MAX_LINES_PER_SEC = 50;
/** Nothing is gathered, and nothing added to what the socket has not taken yet, beyond this. */
const MAX_UNSENT_BYTES = 65_536;
/** An error repeats what the client sent, which may be long. */
const MAX_LINE_CHARS = 1_024;

/** What is counted. */
export interface ReplyMetrics {
  /** Lines that were not written. */
  replyDropped(lines: number): void;
}

/** See the module comment. */
export class TelnetReplies {
  readonly #socket: Socket;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #metrics: ReplyMetrics;
  #answers: string[] = [];
  #errors: string[] = [];
  #untold = 0;
  /** Characters of what has gathered. */
  #gathered = 0;
  #second = 0;
  #linesInSecond = 0;

  constructor(socket: Socket, clock: Pick<Clock, 'now'>, metrics: ReplyMetrics) {
    this.#socket = socket;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** An answer to a command, with its newline. */
  answer(text: string): void {
    if (this.#hasRoom(text)) this.#answers.push(text);
    else this.#metrics.replyDropped(1);
  }

  /** An error line without its newline; `more` lines have no text of their own. */
  error(line: string | undefined, more = 0): void {
    const cut = line?.slice(0, MAX_LINE_CHARS);
    if (cut !== undefined && this.#mayTell() && this.#hasRoom(cut)) this.#errors.push(cut);
    else if (line !== undefined) this.#untold++;
    this.#untold += more;
  }

  /** Writes what has gathered; to be called when no input is waiting. */
  flush(): void {
    const answers = this.#answers;
    const errors = this.#errors;
    const untold = this.#untold;
    this.#answers = [];
    this.#errors = [];
    this.#untold = 0;
    this.#gathered = 0;
    if (untold > 0) errors.push(`put: ${untold} more lines were not taken`);
    if (!this.#socket.writable || this.#socket.writableLength > MAX_UNSENT_BYTES) {
      this.#metrics.replyDropped(answers.length + errors.length);
      return;
    }
    const all = answers.join('') + errors.map((line) => `${line}\n`).join('');
    if (all !== '') this.#socket.write(all);
  }

  #hasRoom(text: string): boolean {
    if (this.#gathered + text.length > MAX_UNSENT_BYTES) return false;
    this.#gathered += text.length;
    return true;
  }

  #mayTell(): boolean {
    const second = Math.floor(this.#clock.now() / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#linesInSecond = 0;
    }
    if (this.#linesInSecond < MAX_LINES_PER_SEC) {
      this.#linesInSecond++;
      return true;
    }
    this.#metrics.replyDropped(1);
    return false;
  }
}
