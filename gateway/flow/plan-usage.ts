import type { Msat } from '../../node/msat.ts';
import { GatewayError, type GatewayErrorCode } from '../errors.ts';
import {
  type MeteredPrice,
  needsRequestBody,
  planRequest,
  type RequestPlan,
  type RequestRefusal,
  type UsageTerms,
} from '../meter/usage/index.ts';
import { upstreamPath } from '../proxy/upstream-path.ts';
import type { Exchange } from './exchange.ts';
import type { BodyOwner, HeldBodies } from './held-bodies.ts';

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

/** Reads, once, what must be known of a request before it can be priced. The first who asks is who its body is counted for. */
export type UsageSource = (owner: BodyOwner) => Promise<UsageRequest | undefined>;

/** The source for every service that is not charged by reports. */
const NO_USAGE: UsageSource = () => Promise.resolve(undefined);

/**
 * Where the usage of a request comes from. A stranger's body is read too, bounded in size, time and room: an unknown model is refused
 * before anybody pays.
 * @throws (the source) GatewayError when the body does not arrive, has no room, or can't be priced
 */
export function usageSource(bodies: HeldBodies, exchange: Exchange): UsageSource {
  const usage = exchange.service.metering?.usage;
  if (usage === undefined) return NO_USAGE;
  let reading: Promise<UsageRequest> | undefined;
  return (owner) => {
    reading ??= readUsageRequest(bodies, exchange, owner, usage);
    return reading;
  };
}

async function readUsageRequest(
  bodies: HeldBodies,
  exchange: Exchange,
  owner: BodyOwner,
  usage: UsageTerms,
): Promise<UsageRequest> {
  const { req, service, target } = exchange;
  const body = needsRequestBody(usage)
    ? await bodies.read(exchange, owner, Math.min(usage.maxRequestBytes, service.maxBodyBytes))
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
