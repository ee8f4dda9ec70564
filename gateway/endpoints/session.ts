import { type Request, type Response, Router } from 'express';
import { GatewayError } from '../errors.ts';
import { type CookieScope, endedCookie, readSessionId, sessionCookie } from '../session/cookie.ts';
import { type CookieRequest, cookieScope, isOwnSite } from '../session/request-origin.ts';
import type { HeldCredential, SessionTable } from '../session/table.ts';
import { refuseMethod, sendJson } from './answer.ts';
import { type AccountHolder, type FindHolder, requireHolder } from './holder.ts';

/** A holder whose credential can be kept for its browser. */
export interface SessionHolder extends AccountHolder {
  readonly candidate: HeldCredential['candidate'];
}

/** What the session endpoint needs. */
export interface SessionEndpointDeps<Holder extends SessionHolder> {
  readonly findHolder: FindHolder<Holder>;
  readonly sessions: SessionTable;
  /** The request as the rules for cookies see it. */
  readonly cookieRequest: (request: Request) => CookieRequest;
  readonly nowMs: () => number;
}

/**
 * `POST /session`: a credential for a cookie, which a browser sends by itself with `<video>`, `<img>` and links. `DELETE
 * /session` ends it.
 */
export function sessionRouter<Holder extends SessionHolder>(deps: SessionEndpointDeps<Holder>): Router {
  const router = Router();
  router
    .route('/session')
    .post((request, response) => openSession(deps, request, response))
    .delete((request, response) => endSession(deps, request, response))
    .all(refuseMethod('POST, DELETE'));
  return router;
}

async function openSession<Holder extends SessionHolder>(
  deps: SessionEndpointDeps<Holder>,
  request: Request,
  response: Response,
): Promise<void> {
  const facts = deps.cookieRequest(request);
  const scope = requireScope(facts);
  const { accountId, service, validUntilSec, candidate } = await requireHolder(
    deps.findHolder,
    request,
    'header',
  );
  if (service.session !== true) {
    throw new GatewayError(
      'session-refused',
      `The service ${service.name} takes no session cookie: its operator has not set session: true.`,
    );
  }
  const session = await deps.sessions.open(
    { accountId, service: service.name, validUntilSec, candidate },
    readSessionId(request.headers.cookie, scope),
  );
  const maxAgeSec = session.expiresAtSec - deps.nowMs() / 1000;
  response.set('Set-Cookie', sessionCookie(scope, session.id, maxAgeSec));
  sendJson(response, 200, {
    service: service.name,
    accountId,
    expiresAt: new Date(session.expiresAtSec * 1000).toISOString(),
  });
}

async function endSession<Holder extends SessionHolder>(
  deps: SessionEndpointDeps<Holder>,
  request: Request,
  response: Response,
): Promise<void> {
  const scope = requireScope(deps.cookieRequest(request));
  const id = readSessionId(request.headers.cookie, scope);
  if (id !== undefined) await deps.sessions.close(id);
  response.set({ 'Set-Cookie': endedCookie(scope), 'Cache-Control': 'no-store' });
  response.status(204).end();
}

/** @throws GatewayError `misdirected-cookie`, `session-needs-https` */
function requireScope(facts: CookieRequest): Exclude<CookieScope, 'nowhere'> {
  if (!isOwnSite(facts)) {
    throw new GatewayError(
      'misdirected-cookie',
      'A session is opened and ended by pages of its own origin only.',
    );
  }
  const scope = cookieScope(facts);
  if (scope !== 'nowhere') return scope;
  throw new GatewayError(
    'session-needs-https',
    'A session cookie works over HTTPS only, except on localhost: on this connection browsers would not keep it, or anybody on ' +
      'the way could read it. Send the credential in Authorization. Behind a proxy that ends TLS, the operator names it in ' +
      'trustedProxies, and it sends X-Forwarded-Proto.',
  );
}
