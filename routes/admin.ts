/**
 * `/admin` over HTTP: parameters in the query, answers in JSON, everything described by schemas that /openapi.json is
 * made from. Every route wants the right `admin`; what a browser's page of another origin sends is refused, for on a
 * loopback address there may be no other protection. What is shown and done is src/admin's affair.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { TObject } from 'typebox';
import type { Actor, Admin } from '../src/admin/admin.ts';
import * as schemas from '../src/admin/schemas.ts';
import { GatewayError } from '../src/errors.ts';
import type { Auth } from '../src/http/auth.ts';
import type { BodyReader } from '../src/http/body-reader.ts';
import { type ErrorReplies, plainProblem } from '../src/http/error-handler.ts';
import type { Clock } from '../src/model/clock.ts';
import type { ForgetScope } from '../src/model/ddl-queue.ts';
import { withTimeLimit } from '../src/util/abort.ts';

/** What the admin routes need. */
export interface AdminRouteDeps {
  readonly admin: Admin;
  readonly auth: Auth;
  readonly errors: ErrorReplies;
  readonly bodies: Pick<BodyReader, 'use'>;
  /** False while the gateway is over a mark: no payload is looked at. */
  readonly dataPlaneOk: () => boolean;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  /** Aborts when the gateway stops. */
  readonly closing: AbortSignal;
}

/** Longest time for an action; what it had begun may still happen. */
const ACTION_MS = 10_000;

/** A Fastify plugin. */
export function createAdminRoutes(deps: AdminRouteDeps): (app: FastifyInstance) => Promise<void> {
  const { admin, auth, errors, clock, closing } = deps;
  const actors = new WeakMap<FastifyRequest, Actor>();

  const act: Act = (request, run) => {
    const late = (): Error => new GatewayError('unavailable', `not done within ${ACTION_MS / 1_000} s`);
    const actor = actors.get(request as FastifyRequest) as Actor;
    return withTimeLimit(closing, { limitMs: ACTION_MS, clock, late }, (signal) => run(actor, signal));
  };

  return async (plain) => {
    const app = typed(plain);
    app.setErrorHandler(errors.handler(plainProblem));
    app.addHook('onRequest', async (request) => {
      const { name } = await auth.authorize(request.raw, 'admin', undefined);
      if (request.headers.origin !== undefined)
        throw new GatewayError('forbidden', 'not for pages in a browser');
      actors.set(request, { name, peer: request.socket.remoteAddress ?? 'unknown' });
    });
    app.addHook('preValidation', async ({ query, routeOptions }) => {
      const schema = routeOptions.schema?.querystring as TObject | undefined;
      const unknown = schema && schemas.unknownParameters(query as object, schema);
      if (unknown?.[0] !== undefined) throw badRequest(`there is no parameter ${JSON.stringify(unknown[0])}`);
    });
    registerListings(app, admin);
    registerPlan(app, deps, act);
    registerQueueActions(app, admin, act);
    const drain = describe('Wait for the write log', schemas.noQuery, schemas.drainedAnswer);
    app.post('/admin/drain', { schema: drain }, async (request) => {
      await act(request, (actor, signal) => admin.drain(actor, signal));
      return { drained: true, pendingBytes: admin.status().counts.pendingBytes };
    });
  };
}

type TypedApp = ReturnType<typeof typed>;
type Act = <T>(request: object, run: (actor: Actor, signal: AbortSignal) => Promise<T>) => Promise<T>;

function typed(app: FastifyInstance) {
  return app.withTypeProvider<TypeBoxTypeProvider>();
}

function registerListings(app: TypedApp, admin: Admin): void {
  const status = describe('What holds at the moment', schemas.noQuery, schemas.statusAnswer);
  app.get('/admin/status', { schema: status }, () => admin.status());
  const tasks = list('Open DDL tasks', schemas.listQuery, schemas.taskItem);
  app.get('/admin/tasks', { schema: tasks }, ({ query }) => answerOf(admin.tasks(query)));
  const tables = list('Tables known to this gateway', schemas.listQuery, schemas.tableItem);
  app.get('/admin/tables', { schema: tables }, ({ query }) => answerOf(admin.tables(query)));
  const policy = describe('What may be created', schemas.noQuery, schemas.policyAnswer);
  app.get('/admin/policy', { schema: policy }, () => admin.policy());
  const failures = list('Negative results', schemas.failureQuery, schemas.failureItem);
  app.get('/admin/failures', { schema: failures }, ({ query }) => answerOf(admin.failures(query)));
  const lanes = list('Tables with parked rows', schemas.listQuery, schemas.laneItem);
  app.get('/admin/lanes', { schema: lanes }, ({ query }) => answerOf(admin.lanes(query)));
  const offenders = list('Who asked most for what was refused', schemas.offenderQuery, schemas.offenderItem);
  app.get('/admin/offenders', { schema: offenders }, ({ query }) => answerOf(admin.offenders(query)));
}

function registerPlan(app: TypedApp, { admin, bodies, dataPlaneOk }: AdminRouteDeps, act: Act): void {
  const plan = describe('What a write of the body would do', schemas.planQuery, schemas.planAnswer);
  app.post('/admin/plan', { schema: plan }, (request) => {
    const { raw, query } = request;
    if (query.protocol === 'influx' && query.db === undefined) throw badRequest('influx needs a db');
    if (!dataPlaneOk()) throw new GatewayError('overload', 'the gateway is over a mark');
    return bodies.use(raw, (body) => act(request, (_, signal) => admin.plan(query, body, signal)));
  });
}

/** What concerns the whole cluster. */
function registerQueueActions(app: TypedApp, admin: Admin, act: Act): void {
  const forget = describe('Drop negative results', schemas.forgetQuery, schemas.forgottenAnswer);
  app.post('/admin/forget', { schema: forget }, async (request) => {
    const scope = scopeOf(request.query);
    return { forgotten: await act(request, (actor, signal) => admin.forget(scope, actor, signal)) };
  });
  const retry = describe('Let a table be tried again now', schemas.retryQuery, schemas.forgottenAnswer);
  app.post('/admin/retry', { schema: retry }, async (request) => {
    const scope: ForgetScope = { kind: 'table', ...request.query };
    return { forgotten: await act(request, (actor, signal) => admin.forget(scope, actor, signal)) };
  });
  const cancel = describe('End an open task', schemas.cancelQuery, schemas.cancelledAnswer);
  app.post('/admin/cancel', { schema: cancel }, async (request) => {
    const { database, table } = request.query;
    const ended = await act(request, (actor, signal) => admin.cancel({ database, table }, actor, signal));
    if (ended === 'running') throw refusal(409, 'its statement runs, and can not be taken back');
    if (ended === 'elsewhere')
      throw refusal(409, `only the leader can: ${admin.status().leader ?? 'none now'}`);
    return { cancelled: ended === 'cancelled' };
  });
  const pause = describe('Stop all creates, restarts included', schemas.pauseQuery, schemas.changedAnswer);
  app.post('/admin/pause', { schema: pause }, async (request) => {
    const { reason } = request.query;
    return { changed: await act(request, (actor, signal) => admin.setPause(reason, actor, signal)) };
  });
  const resume = describe('Let creates go on', schemas.noQuery, schemas.changedAnswer);
  app.post('/admin/resume', { schema: resume }, async (request) => ({
    changed: await act(request, (actor, signal) => admin.setPause(undefined, actor, signal)),
  }));
}

function describe<Q extends TObject, A extends TObject>(summary: string, querystring: Q, answer: A) {
  return { summary, tags: ['admin'], querystring, response: { 200: answer } };
}

function list<Q extends TObject, I extends TObject>(summary: string, querystring: Q, item: I) {
  return { summary, tags: ['admin'], querystring, response: { 200: schemas.pageAnswer(item) } };
}

function answerOf<T>({ items, next }: { readonly items: readonly T[]; readonly next: string | undefined }) {
  return { items: [...items], next: next ?? null };
}

function scopeOf(query: {
  readonly all?: 'true';
  readonly database?: string;
  readonly table?: string;
  readonly prefix?: string;
}): ForgetScope {
  const { all, database, table, prefix } = query;
  if (all === 'true') {
    if (database === undefined && table === undefined && prefix === undefined) return { kind: 'all' };
    throw badRequest('all goes with nothing else');
  }
  const [kind, name] = table === undefined ? (['prefix', prefix] as const) : (['table', table] as const);
  if (database === undefined || name === undefined || (table !== undefined && prefix !== undefined))
    throw badRequest('say all=true, or database and either table or prefix');
  return { kind, database, table: name };
}

function badRequest(message: string): Error {
  return refusal(400, message);
}

/** In the form of Fastify's own errors about a request. */
function refusal(statusCode: 400 | 409, message: string): Error {
  return Object.assign(new Error(message), { statusCode });
}
