import { randomBytes } from 'node:crypto';
import express, { type Express, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { answerErrors, answerUnknown } from '../endpoints/answer.ts';
import type { HealthAnswer } from '../observe/health.ts';
import { type AccountsDeps, accountsRouter } from './accounts.ts';
import { type ApiDeps, apiRouter } from './api.ts';
import { allowLocalOr, requireToken } from './auth.ts';
import { dashboardPage } from './dashboard.ts';

/** What the admin listener works with. */
export interface AdminDeps extends ApiDeps, AccountsDeps {
  readonly store: ApiDeps['store'] & AccountsDeps['store'];
  /** The bearer token, of {@link loadAdminToken}. */
  readonly token: string;
}

/** The admin API has no use for a body; what comes anyway is read to this size and no further. */
const MAX_BODY = '4kb';

/**
 * Makes the control plane for the admin listener. Open to all who reach it: `/healthz`, `/readyz` and the empty page of the
 * dashboard. Open on the same machine: `/metrics`. By token: everything else.
 */
export function createAdminApp(deps: AdminDeps): Express {
  const app = express();
  app.disable('etag');
  app.set('query parser', 'simple');
  // The dashboard sets its own policy; these answers are no page, and this listener is plain HTTP.
  app.use(
    helmet({
      contentSecurityPolicy: false,
      strictTransportSecurity: false,
      referrerPolicy: { policy: 'no-referrer' },
    }),
  );

  const guard = requireToken({
    token: deps.token,
    nowMs: deps.nowMs,
    onFailure: (address) =>
      deps.log.warn('the admin API refused a request without the right token', { address }),
  });
  app.get('/healthz', (_request, response) => sendHealth(response, deps.health.live()));
  app.get('/readyz', (request, response) => {
    const { exclude } = request.query;
    const names = typeof exclude === 'string' ? [exclude] : Array.isArray(exclude) ? exclude.map(String) : [];
    sendHealth(response, deps.health.ready(names.slice(0, 8)));
  });
  app.get('/metrics', allowLocalOr(guard, deps.config().admin.host), sendMetrics(deps));
  app.get('/', sendDashboard(deps));
  app.use('/api', guard, express.json({ limit: MAX_BODY }), apiRouter(deps), accountsRouter(deps));
  app.use(answerUnknown);
  app.use(answerErrors(deps.log));
  return app;
}

function sendHealth(response: Response, { status, body }: HealthAnswer): void {
  response.status(status).set('Cache-Control', 'no-store').json(body);
}

function sendMetrics(deps: AdminDeps): RequestHandler {
  return async (_request, response) => {
    const { contentType, body } = await deps.metrics.scrape();
    response.set('Cache-Control', 'no-store').set('Content-Type', contentType).end(body);
  };
}

function sendDashboard(deps: AdminDeps): RequestHandler {
  return (_request, response) => {
    const nonce = randomBytes(16).toString('base64');
    const { html, contentSecurityPolicy } = dashboardPage({ title: deps.config().title, nonce });
    response
      .set('Content-Security-Policy', contentSecurityPolicy)
      .set('Cache-Control', 'no-store')
      .type('html')
      .end(html);
  };
}
