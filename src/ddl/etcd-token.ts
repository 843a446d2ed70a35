/**
 * The token of a user name and password, shared by all calls and streams. etcd's simple tokens live in its memory: they
 * end with time and with a restart, so a call that is refused for its token expires it and is made once more.
 */
import type { Etcd3 } from 'etcd3';
import type { Logger } from '../model/logger.ts';
import type { EtcdEndpoints } from './etcd-endpoints.ts';
import { isTokenTrouble, storeErrorOf, TOKEN_REFUSED } from './etcd-errors.ts';

/** Options of a call, as etcd3 takes them. */
export type CallOptions = NonNullable<Parameters<Etcd3['kv']['range']>[1]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];

/** A token as it was got. */
export interface Token {
  /** Undefined: etcd asks for none. */
  readonly text: string | undefined;
}

/** Who the gateway is to etcd. */
export interface EtcdUser {
  readonly name: string;
  readonly password: string;
}

const NONE: Token = { text: undefined };

/** See the module comment. */
export class EtcdTokens {
  readonly #user: EtcdUser | undefined;
  readonly #endpoints: EtcdEndpoints;
  readonly #logger: Logger;
  #pending: Promise<Token> | undefined;
  #toldNotEnabled = false;

  /** `user` undefined: none is ever asked for. */
  constructor(user: EtcdUser | undefined, endpoints: EtcdEndpoints, logger: Logger) {
    this.#user = user;
    this.#endpoints = endpoints;
    this.#logger = logger;
  }

  /** The token in use, or a new one. @throws {StoreError} denied, unavailable */
  get(deadline: number): Promise<Token> {
    if (this.#user === undefined) return Promise.resolve(NONE);
    if (this.#pending === undefined) {
      const pending = this.#authenticate(this.#user, deadline);
      this.#pending = pending;
      pending.catch(() => this.#drop(pending));
    }
    return this.#pending;
  }

  /** After a call with this token was refused for it: true when a new one may help. */
  async expire(token: Token): Promise<boolean> {
    if (this.#user === undefined) return false;
    const pending = this.#pending;
    const current = await pending?.catch(() => undefined);
    if (current === token && pending !== undefined) this.#drop(pending);
    return true;
  }

  #drop(pending: Promise<Token>): void {
    if (this.#pending === pending) this.#pending = undefined;
  }

  async #authenticate({ name, password }: EtcdUser, deadline: number): Promise<Token> {
    try {
      const { token } = await this.#endpoints.run(({ calls }) =>
        calls.auth.authenticate({ name, password }, { deadline }),
      );
      return { text: token };
    } catch (error) {
      // Users may be set up before authentication is turned on; then no token is needed.
      if (!storeErrorOf(error).message.includes('authentication is not enabled')) throw error;
      if (!this.#toldNotEnabled) {
        this.#toldNotEnabled = true;
        this.#logger.warn(
          {},
          'etcd.username is set, but authentication is not enabled in etcd: anybody may write',
        );
      }
      return { text: undefined };
    }
  }
}

/** Options that send these fields with a call; `token` undefined or empty: no token. */
export function callOptions(
  deadline: number | undefined,
  token: Token,
  fields: readonly (readonly [string, string])[] = [],
): CallOptions {
  const metadata = token.text === undefined ? fields : [...fields, ['token', token.text] as const];
  return {
    ...(deadline === undefined ? {} : { deadline }),
    ...(metadata.length === 0 ? {} : { interceptors: [sendWith(metadata)] }),
  };
}

function sendWith(fields: readonly (readonly [string, string])[]): Interceptor {
  return (options, nextCall) => {
    const call = nextCall(options);
    const start = call.start.bind(call);
    call.start = (metadata, listener = {}) => {
      for (const [name, value] of fields) metadata.set(name, value);
      const onReceiveStatus: typeof listener.onReceiveStatus = (status) =>
        listener.onReceiveStatus?.(
          isTokenTrouble(status.details) ? { ...status, details: TOKEN_REFUSED } : status,
        );
      start(metadata, { ...listener, onReceiveStatus });
    };
    // The call itself is what etcd3 needs; the class that the type asks for only wraps it.
    return call as ReturnType<Interceptor>;
  };
}
