import type { Msat } from '../../node/msat.ts';
import { GatewayError, type GatewayErrorCode } from '../errors.ts';
import {
  type MeteredPrice,
  needsRequestBody,
  planRequest,
  type RequestPlan,
  type RequestRefusal,
} from '../meter/usage/index.ts';
import { readBody } from '../proxy/request-body.ts';
import { upstreamPath } from '../proxy/upstream-path.ts';
import type { Exchange } from './exchange.ts';

/** A request that is charged by what its upstream reports, its body read when the price depends on it. */
export interface UsageRequest {
  /** What this request would set aside, for a balance; without one, for a stranger. @throws GatewayError when it can't be priced at all */
  plan(price: MeteredPrice, balanceMsat: Msat | undefined): Exclude<RequestPlan, { kind: 'refused' }>;
}

const CODES: Record<RequestRefusal['code'], GatewayErrorCode> = {
  invalid: 'usage-refused',
  'too-large': 'body-too-large',
  encoded: 'usage-encoded',
  'unknown-model': 'unknown-model',
  'not-metered': 'not-metered',
};

/**
 * Reads what must be known of a request before it can be priced: undefined for every service that is not charged by reports.
 * A stranger's body is read too, bounded in size and time: an unknown model is refused before anybody pays.
 * @throws GatewayError when the body does not arrive, or can't be priced
 */
export async function readUsageRequest(exchange: Exchange): Promise<UsageRequest | undefined> {
  const usage = exchange.service.metering?.usage;
  if (usage === undefined) return undefined;
  const { req, service, target, config, sendContinue } = exchange;
  const body = needsRequestBody(usage)
    ? await readBody(req, {
        maxBytes: Math.min(usage.maxRequestBytes, service.maxBodyBytes),
        timeoutMs: config.limits.clientIdleTimeoutMs,
        sendContinue,
      })
    : undefined;
  const path = upstreamPath({ ...target, query: '' }, service);
  return {
    plan(price, balanceMsat) {
      const plan = planRequest(usage, {
        method: req.method ?? 'GET',
        path,
        headers: req.headers,
        body,
        balanceMsat,
        price,
      });
      if (plan.kind !== 'refused') return plan;
      throw new GatewayError(CODES[plan.refusal.code], plan.refusal.message);
    },
  };
}
