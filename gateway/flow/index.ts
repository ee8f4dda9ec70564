import type { ServiceConfig } from '../../config/config.ts';
import { type Msat, subtractMsat, ZERO_MSAT } from '../../node/msat.ts';
import type { LightningNode } from '../../node/node.ts';
import { GatewayError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { formatPrice } from '../pricing/format-price.ts';
import { lockedMeteredPrice } from '../pricing/quote.ts';
import type { ForwardOutcome } from '../proxy/forward.ts';
import { announcedLength } from '../proxy/request-body.ts';
import { resetClient } from '../proxy/reset-client.ts';
import { NO_PLACE } from '../proxy/roster.ts';
import type { SessionTable } from '../session/table.ts';
import { answerFailure, bodyTooLarge } from './answer-failure.ts';
import { challengeMemo, isFixedPrice } from './challenge-order.ts';
import { type Charge, chargeCall, passCharge } from './charge.ts';
import { chargeMetered, type MeteredDeps } from './charge-metered.ts';
import { preflightHeaders } from './cors.ts';
import type { Invoicer } from './create-invoice.ts';
import type { Exchange } from './exchange.ts';
import { balanceHeaders, forwardRequest } from './forward-request.ts';
import { type BodyOwner, bodyOwner, type HeldBodies } from './held-bodies.ts';
import type { Keyring } from './keys.ts';
import type { LiveResponse, LiveResponses } from './live.ts';
import { mintToken } from './mint-token.ts';
import { type UsageSource, usageSource } from './plan-usage.ts';
import { outliveInvoice, quotePrice } from './quote-price.ts';
import { readCredential } from './read-credential.ts';
import { type Retryable, readRetryable, retryKeyOf } from './read-retry-key.ts';
import { redeemPayment } from './redeem-payment.ts';
import { type ChallengeReason, sendChallenge, sendHeadChallenge } from './send-challenge.ts';
import { type SettleDeps, settle } from './settle.ts';
import { type TunnelDeps, tunnelRequest } from './tunnel-request.ts';
import type { Unsettled } from './unsettled.ts';
import {
  type CredentialVerifier,
  type Grant,
  tooManyCredentials,
  type VerifiedCredential,
} from './verify-credential.ts';

/** What the flow works with. */
export interface FlowDeps extends TunnelDeps, MeteredDeps, SettleDeps {
  readonly ledger: Ledger;
  readonly verifier: CredentialVerifier;
  readonly keys: Keyring;
  readonly node: LightningNode;
  readonly invoicer: Invoicer;
  readonly bodies: HeldBodies;
  readonly unsettled: Unsettled;
  readonly live: LiveResponses;
  readonly sessions: SessionTable;
  readonly nowMs: () => number;
  readonly onRedeemed: (credential: VerifiedCredential) => void;
  /** A charge changed the balance of this account, or was given back. */
  readonly onBalance: (accountId: string) => void;
  readonly onInvoice: (service: ServiceConfig) => void;
}

/** How a request ended: for metrics and the access log. */
export type FlowOutcome =
  | { readonly kind: 'preflight' }
  | { readonly kind: 'challenged'; readonly reason: ChallengeReason }
  | {
      readonly kind: 'forwarded';
      readonly charge: Charge | undefined;
      readonly forwarded: ForwardOutcome;
      readonly refunded: boolean;
    };

/**
 * Serves one matched request: everything that Sluice does with it, in order. Nothing is forwarded before it was paid for.
 * @throws GatewayError, StoreError, NodeError: the caller answers them, unless the response has begun
 */
export async function serve(deps: FlowDeps, exchange: Exchange): Promise<FlowOutcome> {
  if ((announcedLength(exchange.req) ?? 0) > exchange.service.maxBodyBytes)
    throw bodyTooLarge(exchange.service);
  if (exchange.service.price.kind === 'free') return forwardFree(deps, exchange);
  if (sendPreflight(exchange)) return { kind: 'preflight' };

  const usage = usageSource(deps.bodies, exchange);
  const paid = await authorise(deps, exchange, usage);
  if (paid.kind === 'unpaid') return challenge(deps, exchange, paid, usage);
  if (paid.charge.balanceMsat !== undefined) deps.onBalance(paid.charge.accountId);

  const forwarded = await forwardWhileValid(deps, exchange, paid.charge, paid.body);
  // Read before the end, after which a meter knows no more what comes back.
  const left =
    forwarded.kind === 'upstream-failed' ? balanceHeaders(exchange.service, paid.charge, true) : [];
  const refunded = await settle(deps, exchange, paid.charge, forwarded);
  if (forwarded.kind === 'discarded') return answerDiscarded(deps, exchange, paid, usage);
  if (refunded) deps.onBalance(paid.charge.accountId);
  answerFailure(exchange, forwarded, left);
  return { kind: 'forwarded', charge: paid.charge, forwarded, refunded };
}

interface Unpaid {
  readonly kind: 'unpaid';
  readonly reason: ChallengeReason;
  /** The credential was paid for once, so that a new payment may go onto its account. */
  readonly grant?: Grant;
  /** What the request costs in all, where that is known and the balance does not cover it. */
  readonly neededMsat?: Msat;
}

interface Paid {
  readonly kind: 'paid';
  readonly charge: Charge;
  readonly grant: Grant;
  /** The request's body, when it had to be read. */
  readonly body: Buffer | undefined;
}

type Authorisation = Paid | Unpaid;

/** The first credential that holds and can pay wins. */
async function authorise(deps: FlowDeps, exchange: Exchange, usage: UsageSource): Promise<Authorisation> {
  const reading = await readCredential(exchange, deps.sessions);
  let unpaid: Unpaid = {
    kind: 'unpaid',
    reason: reading.malformed === undefined ? 'no-credential' : 'malformed',
  };
  const body: RetryBody = { read: undefined };
  let throttledForSec: number | undefined;
  for (const candidate of reading.candidates) {
    const verification = deps.verifier.verify(candidate, exchange.service, exchange.client.throttleKey);
    if (verification.kind === 'throttled') {
      throttledForSec = verification.retryAfterSec;
      continue;
    }
    if (verification.kind === 'refused') {
      unpaid = worse(unpaid, { kind: 'unpaid', reason: verification.reason });
      continue;
    }
    const { credential } = verification;
    const wasRedeemed = credential.redeemed;
    let result = await payWith(deps, exchange, credential, usage, body);
    if (result.kind === 'unpaid' && result.isForgotten && wasRedeemed) {
      // A failover has forgotten the credit that this gateway saw made: presented once more, it is made again, and only if it is not there.
      credential.redeemed = false;
      result = await payWith(deps, exchange, credential, usage, body);
    }
    if (result.kind === 'paid') return result;
    unpaid = worse(unpaid, result);
  }
  // It may be good: nobody shall be asked to pay a second time for it.
  if (throttledForSec !== undefined) throw tooManyCredentials(throttledForSec);
  return unpaid;
}

/** The body of a request with an Idempotency-Key: read once, whichever credential pays. */
interface RetryBody {
  read: Promise<Retryable | undefined> | undefined;
}

/** Presents the payment, unless that was done, and charges the account that it opened. */
async function payWith(
  deps: FlowDeps,
  exchange: Exchange,
  credential: VerifiedCredential,
  usage: UsageSource,
  body: RetryBody,
): Promise<Paid | (Unpaid & { readonly isForgotten?: true })> {
  const { grant } = credential;
  const refusal = credential.redeemed ? undefined : await redeemPayment(deps, credential);
  if (refusal !== undefined) return { kind: 'unpaid', reason: refusal };
  if (grant.price.kind === 'pass') {
    deps.ledger.requireStanding();
    return { kind: 'paid', charge: passCharge(grant), grant, body: undefined };
  }
  const metered = lockedMeteredPrice(exchange.service.price, grant.price);
  if (metered !== undefined) {
    const result = await chargeMetered(deps, exchange, grant, metered, usage);
    if (result.kind === 'unpaid') return { ...result, grant };
    return { kind: 'paid', charge: result.charge, grant, body: result.charge.metered?.plan?.body };
  }
  if (exchange.req.headers['idempotency-key'] !== undefined)
    body.read ??= readRetryable(deps.bodies, exchange, () => ownerOf(deps, exchange, grant));
  const retry = body.read === undefined ? undefined : await body.read;
  const result = await chargeCall(deps, exchange, grant, retry && retryKeyOf(retry, grant));
  if (result.kind === 'unpaid') return { ...result, grant };
  return { kind: 'paid', charge: result.charge, grant, body: retry?.body };
}

async function ownerOf({ ledger }: FlowDeps, { client }: Exchange, { minted }: Grant): Promise<BodyOwner> {
  const account = await ledger.account(minted.accountId);
  return bodyOwner(client.throttleKey, minted.accountId, account?.balanceMsat ?? ZERO_MSAT);
}

/** Of two refusals, the one to answer: a credential that was paid for once says more than one that never held. */
function worse(before: Unpaid, now: Unpaid): Unpaid {
  return before.grant === undefined ? now : before;
}

async function challenge(
  deps: FlowDeps,
  exchange: Exchange,
  unpaid: Unpaid,
  usageOf: UsageSource,
): Promise<FlowOutcome> {
  const { config, service, client } = exchange;
  const { reason, grant } = unpaid;
  if (exchange.req.method === 'HEAD') {
    sendHeadChallenge(exchange);
    return { kind: 'challenged', reason };
  }
  const usage = await usageOf({ kind: 'stranger', key: client.throttleKey });
  const nowSec = Math.floor(deps.nowMs() / 1000);
  const accountId = renewableAccount(service, reason, grant);
  const lackingMsat = await lackOf(deps.ledger, unpaid.neededMsat, accountId);
  const foreseen = quotePrice(config, service, deps.node.capabilities, nowSec, usage, lackingMsat);
  const invoice = await deps.invoicer.createInvoice({
    asker: {
      clientKey: client.throttleKey,
      paidAccountId: reason === 'spent' ? grant?.minted.accountId : undefined,
    },
    amountMsat: foreseen.invoiceMsat,
    memo: challengeMemo(config, service),
    price: isFixedPrice(service) && lackingMsat === ZERO_MSAT ? 'fixed' : 'dynamic',
  });
  const quote = outliveInvoice(foreseen, invoice, nowSec + config.challenge.invoiceExpirySec);
  deps.onInvoice(service);
  const macaroon = mintToken(deps.keys, service, quote, invoice, accountId);
  await sendChallenge(exchange, {
    reason,
    quote,
    invoice,
    macaroon,
    playMoney: deps.node.capabilities.playMoney,
  });
  return { kind: 'challenged', reason };
}

/** What must be paid for a request to go through, when its whole cost is known: less what the account it goes onto holds. */
async function lackOf(
  ledger: Ledger,
  neededMsat: Msat | undefined,
  accountId: string | undefined,
): Promise<Msat> {
  if (neededMsat === undefined || neededMsat === 0) return ZERO_MSAT;
  const account = accountId === undefined ? undefined : await ledger.account(accountId);
  const balanceMsat = account?.balanceMsat ?? ZERO_MSAT;
  return balanceMsat >= neededMsat ? ZERO_MSAT : subtractMsat(neededMsat, balanceMsat);
}

/**
 * The account that the payment of a new challenge shall credit. Only the whole, spent credential may go on with its account:
 * a narrowed one must not widen itself, and what is expired or revoked stays so. And only at the price that it was bought at:
 * on one account the older, cheaper credential would spend at its locked price what was bought at a higher one.
 */
function renewableAccount(
  { price }: ServiceConfig,
  reason: ChallengeReason,
  grant: Grant | undefined,
): string | undefined {
  if (reason !== 'spent' || grant === undefined || grant.narrowed) return undefined;
  return grant.minted.price === formatPrice(price) ? grant.minted.accountId : undefined;
}

/** The upstream answered, and its answer may not be passed on: it costs more than there is, or can't be sold as configured. */
async function answerDiscarded(
  deps: FlowDeps,
  exchange: Exchange,
  { charge, grant }: Paid,
  usage: UsageSource,
): Promise<FlowOutcome> {
  const discarded = charge.metered?.discarded;
  if (discarded?.kind !== 'unpaced') {
    const neededMsat = discarded?.neededMsat ?? ZERO_MSAT;
    return challenge(deps, exchange, { kind: 'unpaid', reason: 'spent', grant, neededMsat }, usage);
  }
  throw new GatewayError(
    'upstream-unpaced',
    'The upstream sent a whole file at a price a second. Nothing was charged. The operator must set `pace` or `allowBurst`.',
  );
}

async function forwardFree(deps: FlowDeps, exchange: Exchange): Promise<FlowOutcome> {
  const forwarded = await forwardOrTunnel(deps, exchange, undefined, undefined);
  answerFailure(exchange, forwarded);
  return { kind: 'forwarded', charge: undefined, forwarded, refunded: false };
}

/**
 * Forwards, and breaks off when the credential expires or is revoked meanwhile: a response may live for hours. An account may outlive
 * the credential, so that a meter does not see its end.
 */
async function forwardWhileValid(
  deps: FlowDeps,
  exchange: Exchange,
  charge: Charge,
  body: Buffer | undefined,
): Promise<ForwardOutcome> {
  const { accountId, validUntilSec, metered } = charge;
  const { socket } = exchange.req;
  const live: LiveResponse = {
    place: NO_PLACE,
    accountId,
    validUntilSec,
    kind: exchange.upgrade === undefined ? 'response' : 'tunnel',
    // A meter ends its stream in the words of its transport.
    cut: (why) => (metered === undefined ? resetClient(socket) : metered.meter.cut(why)),
  };
  deps.live.add(live);
  try {
    return await forwardOrTunnel(deps, exchange, charge, body);
  } catch (error) {
    // A bug of our own, before the first byte: nobody pays for it, and nothing stays set aside.
    await deps.unsettled.settle(() => charge.end('refunded'));
    throw error;
  } finally {
    deps.live.delete(live);
  }
}

/** A WebSocket goes through the tunnel, everything else through the data plane. */
function forwardOrTunnel(
  deps: FlowDeps,
  exchange: Exchange,
  charge: Charge | undefined,
  body: Buffer | undefined,
): Promise<ForwardOutcome> {
  return exchange.upgrade === undefined
    ? forwardRequest(deps, exchange, charge, body)
    : tunnelRequest(deps, exchange, charge);
}

/** OPTIONS on a paid service is answered here and costs nothing: a browser asks before it sends Authorization. */
function sendPreflight(exchange: Exchange): boolean {
  const { req, res, service, config } = exchange;
  if (req.method !== 'OPTIONS') return false;
  const allow = service.methods ?? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
  res.writeHead(204, preflightHeaders(req, config.corsOrigins) ?? ['Allow', allow.join(', ')]);
  res.end();
  return true;
}
