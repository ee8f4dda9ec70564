import { Router } from 'express';
import type { Config, ServiceConfig } from '../../config/config.ts';
import type { LightningNode } from '../../node/node.ts';
import { sendError, sendJson } from '../endpoints/answer.ts';
import type { Store } from '../ledger/store.ts';
import type { Health } from '../observe/health.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Price } from '../pricing/price.ts';
import { showConfig, showUrl } from './show-config.ts';

/** What the read-only part of the API works with. */
export interface ApiDeps {
  readonly config: () => Config;
  readonly store: Pick<Store, 'totals'>;
  readonly node: Pick<LightningNode, 'info' | 'capabilities'>;
  readonly health: Health;
  readonly metrics: Metrics;
  /** A price as its operator would write it. */
  readonly formatPrice: (price: Price) => string;
  readonly version: string;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

/** A node that takes longer is reported as not answering, ms. */
const NODE_DEADLINE_MS = 3000;

/** `GET /services`, `/totals`, `/node`, `/config`, `/status`. */
export function apiRouter(deps: ApiDeps): Router {
  const startedAtMs = deps.nowMs();
  const router = Router();
  router.get('/services', (_request, response) => {
    const services = deps.config().services.map((service) => showService(deps, service));
    sendJson(response, 200, { services });
  });
  router.get('/totals', async (_request, response) => {
    sendJson(response, 200, { totals: await deps.store.totals() });
  });
  router.get('/config', (_request, response) => {
    sendJson(response, 200, { config: showConfig(deps.config()) });
  });
  router.get('/node', async (_request, response) => {
    const { type } = deps.config().node;
    try {
      const info = await deps.node.info({ signal: AbortSignal.timeout(NODE_DEADLINE_MS) });
      sendJson(response, 200, { node: { type, ...deps.node.capabilities, ...info } });
    } catch {
      // The reason, without secrets, stands in the health answer.
      sendError(
        response,
        503,
        'node-unavailable',
        'The Lightning node does not answer; see /readyz for the reason.',
      );
    }
  });
  router.get('/status', (_request, response) => {
    const { status, body } = deps.health.ready();
    sendJson(response, 200, {
      title: deps.config().title,
      version: deps.version,
      startedAtSec: Math.floor(startedAtMs / 1000),
      playMoney: deps.node.capabilities.playMoney,
      ready: status === 200,
      parts: body.parts,
    });
  });
  return router;
}

function showService(deps: ApiDeps, service: ServiceConfig): object {
  const { requests, challenges, redemptions, earnedMsat, spentMsat, refundedMsat } = deps.metrics.service(
    service.name,
  );
  return {
    name: service.name,
    match: { host: service.host, path: service.path, methods: service.methods },
    price: deps.formatPrice(service.price),
    upstream: showUrl(service.upstream),
    sinceStart: { requests, challenges, redemptions, earnedMsat, spentMsat, refundedMsat },
  };
}
