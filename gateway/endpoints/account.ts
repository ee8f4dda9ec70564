import { type Request, type Response, Router } from 'express';
import { GatewayError } from '../errors.ts';
import type { Account, Offer } from '../ledger/store.ts';
import { describePrice } from '../pricing/describe-price.ts';
import { formatPrice } from '../pricing/format-price.ts';
import type { Price } from '../pricing/price.ts';
import type { AccountStreams } from './account-streams.ts';
import { refuseMethod, sendJson } from './answer.ts';
import { type AccountHolder, type FindHolder, requireHolder } from './holder.ts';

/** The streams that an account is being charged for now, in this process. */
export interface LiveStreams {
  readonly count: number;
  /** What they take together, msat a second. */
  readonly msatPerSecond: number;
}

/** What the account endpoints need. */
export interface AccountEndpointDeps<Holder extends AccountHolder> {
  readonly findHolder: FindHolder<Holder>;
  readonly readAccount: (accountId: string) => Promise<Account | undefined>;
  readonly readOffers: (accountId: string) => Promise<readonly Offer[]>;
  /** Absent: not known. */
  readonly liveStreams?: ((accountId: string) => LiveStreams) | undefined;
  readonly streams: AccountStreams;
  readonly clientAddress: (request: Request) => string;
}

/** Seconds that a listener is told to wait when there are too many. */
const BUSY_RETRY_SEC = 15;

/** `GET /account`: what is left, at what rate, until when. `GET /account/events`: the same as it happens (SSE). */
export function accountRouter<Holder extends AccountHolder>(deps: AccountEndpointDeps<Holder>): Router {
  const router = Router();
  router
    .route('/account')
    .get((request, response) => answerAccount(deps, request, response))
    .all(refuseMethod('GET'));
  router
    .route('/account/events')
    .get((request, response) => answerEvents(deps, request, response))
    .all(refuseMethod('GET'));
  return router;
}

async function answerAccount<Holder extends AccountHolder>(
  deps: AccountEndpointDeps<Holder>,
  request: Request,
  response: Response,
): Promise<void> {
  const holder = await requireHolder(deps.findHolder, request, 'header-or-session');
  const { accountId } = holder;
  const [account, offers] = await Promise.all([deps.readAccount(accountId), deps.readOffers(accountId)]);
  response.vary('Cookie');
  sendJson(response, 200, describe(holder, account, offers, deps.liveStreams?.(accountId)));
}

function describe(
  holder: AccountHolder,
  account: Account | undefined,
  offers: readonly Offer[],
  live: LiveStreams | undefined,
): object {
  return {
    service: holder.service.name,
    accountId: holder.accountId,
    // A pass has no balance: it is good for a time.
    balanceMsat: account?.balanceMsat ?? null,
    creditedMsat: account?.creditedMsat ?? 0,
    reservedMsat: account?.reservedMsat ?? 0,
    spentMsat: account?.spentMsat ?? 0,
    expiredMsat: account?.expiredMsat ?? 0,
    expiresAt: toTime(account?.expiresAtSec ?? holder.validUntilSec),
    credentialExpiresAt: toTime(holder.validUntilSec),
    price: describeBoth(holder.price),
    currentPrice: describeBoth(holder.service.price),
    ...(live === undefined ? {} : { liveStreams: live.count, rateMsatPerSecond: live.msatPerSecond }),
    topUps: offers.map(({ paymentHash, amountMsat, invoiceExpiresAtSec }) => ({
      paymentHash,
      amountMsat,
      expiresAt: toTime(invoiceExpiresAtSec),
    })),
  };
}

function describeBoth(price: Price): object {
  return { canonical: formatPrice(price), words: describePrice(price) };
}

function toTime(sec: number): string {
  return new Date(sec * 1000).toISOString();
}

async function answerEvents<Holder extends AccountHolder>(
  deps: AccountEndpointDeps<Holder>,
  request: Request,
  response: Response,
): Promise<void> {
  const holder = await requireHolder(deps.findHolder, request, 'header-or-session');
  const { accountId, validUntilSec } = holder;
  const client = deps.clientAddress(request);
  if (!deps.streams.hasRoom({ accountId, client })) {
    throw new GatewayError('busy', 'Too many listen to this account, or from this address, or here in all.', {
      retryAfterSec: BUSY_RETRY_SEC,
    });
  }
  if (response.destroyed) return;
  response.vary('Cookie');
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    // A proxy that gathers the answer would keep it back for ever.
    'X-Accel-Buffering': 'no',
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  deps.streams.open({ accountId, validUntilSec, client, response });
}
