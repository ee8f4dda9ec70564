import { createHmac } from 'node:crypto';
import type { Charge } from './charge.ts';
import type { Exchange } from './exchange.ts';

/**
 * What the upstream learns of who paid, as flat name, value pairs: `L402-Account`, `L402-Paid-Msat` and, when a secret is
 * configured, `L402-Signature: t=<unix seconds>,v1=<hex>` with
 * `v1 = HMAC-SHA256(secret, "<t>.<account>.<paid msat>.<METHOD>.<path and query>")`, so that an upstream which others can
 * reach too may tell the gateway's word from anybody's.
 */
export function identityHeaders(
  exchange: Exchange,
  charge: Charge,
  forwardedTarget: string,
  nowSec: number,
): string[] {
  const paid = String(charge.amountMsat);
  const headers = ['L402-Account', charge.accountId, 'L402-Paid-Msat', paid];
  const secret = exchange.config.identitySecret;
  if (secret === undefined) return headers;
  const signed = [nowSec, charge.accountId, paid, exchange.req.method, forwardedTarget].join('.');
  const signature = createHmac('sha256', secret).update(signed).digest('hex');
  headers.push('L402-Signature', `t=${nowSec},v1=${signature}`);
  return headers;
}
