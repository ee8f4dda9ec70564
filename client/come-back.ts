import type { PaidToken } from './buyer.ts';
import type { Clock } from './clock.ts';
import { hasRoom, holdToken } from './hold-token.ts';
import { balanceOf } from './note-answer.ts';
import { orAborted } from './or-aborted.ts';
import { peekBody } from './peek-body.ts';
import { retryAfterMsOf } from './retry-after.ts';
import { findStored } from './stored-tokens.ts';
import { covers } from './token-store.ts';
import type { Shop, Turn, TurnEnd, Visit } from './visit.ts';
import { within } from './within.ts';

/** The longest that a request waits for its turns in all, ms. */
const MAX_WAIT_MS = 120_000;
/** How often one request asks again before it takes the server at its word. */
const MAX_TRIES = 6;
/** Pauses before that: as long as the server says, and longer from try to try, ms. */
const LEAST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Up to so much is added to each pause, so that several programs do not come back together. */
const JITTER = 0.2;

/** An answer, and when to come back, if it was one of a gateway that was asked too often. */
export interface Throttle {
  readonly response: Response;
  readonly retryAfterMs: number | undefined;
}

/**
 * Tells whether a gateway has answered that this address asks for too many invoices: it does so before it forwards or charges anything.
 * The answer is returned unread, to be used in place of the one given.
 */
export async function readThrottle(response: Response, clock: Clock): Promise<Throttle> {
  const isJson = /^application\/json\b/i.test(response.headers.get('content-type') ?? '');
  // With a balance it comes from behind the gateway.
  if (response.status !== 429 || !isJson || balanceOf(response) !== undefined)
    return { response, retryAfterMs: undefined };
  const peeked = await peekBody(response, clock);
  const retryAfterMs = isThrottled(peeked.text) ? (retryAfterMsOf(response) ?? 0) : undefined;
  return { response: peeked.response, retryAfterMs };
}

function isThrottled(body: string | undefined): boolean {
  try {
    const answer: unknown = JSON.parse(body ?? '');
    const error =
      typeof answer === 'object' && answer !== null && 'error' in answer ? answer.error : undefined;
    return typeof error === 'object' && error !== null && 'code' in error && error.code === 'throttled';
  } catch {
    return false;
  }
}

/**
 * Waits until a request that came too often may be sent again: at once with what others have bought meanwhile, else after a pause and one
 * at a time, because the first of them may buy what serves them all.
 * @param token - what was presented with it, and is presented again when there is nothing new
 * @returns `undefined` when the server's refusal is to be believed
 * @throws the reason of the request's signal
 */
export async function comeBack(
  shop: Shop,
  visit: Visit,
  retryAfterMs: number,
  token: PaidToken | undefined,
): Promise<{ readonly token: PaidToken | undefined } | undefined> {
  const { signal, url } = visit.request;
  visit.givesUpAtMs ??= shop.clock.nowMs() + MAX_WAIT_MS;
  for (let hasPaused = false; ; ) {
    const bought = await orAborted(findBought(shop, visit), signal);
    if (bought !== undefined) {
      endTurn(visit, 'passed');
      return { token: bought };
    }
    if (hasPaused && visit.turn !== undefined) return { token };
    const other = visit.turn === undefined ? shop.turns.get(url.origin) : undefined;
    if (other !== undefined) {
      if ((await endOf(shop, visit, other)) !== 'passed') return undefined;
      continue;
    }
    visit.turn ??= takeTurn(shop, url.origin);
    if (!(await pause(shop, visit, visit.turn, retryAfterMs))) return undefined;
    hasPaused = true;
  }
}

/** Lets the next request have its turn, if this one has it. */
export function endTurn(visit: Visit, how: TurnEnd): void {
  visit.turn?.end(how);
  visit.turn = undefined;
}

function takeTurn({ turns }: Shop, origin: string): Turn {
  const { promise, resolve } = Promise.withResolvers<TurnEnd>();
  turns.set(origin, promise);
  const end = (how: TurnEnd): void => {
    turns.delete(origin);
    resolve(how);
  };
  return { tries: 0, end };
}

/** What a purchase under way for the same place brings, or what is in the store by now. */
async function findBought(shop: Shop, visit: Visit): Promise<PaidToken | undefined> {
  const { url, headers } = visit.request;
  if (headers.has('authorization')) return undefined;
  // A purchase that begins while another one is waited for is met too.
  for (const { offer, purchase } of shop.flights.values()) {
    if (offer.origin !== url.origin || !covers(offer.scope, url.pathname)) continue;
    // A payment may take long, and requests to other services have their turn meanwhile.
    endTurn(visit, 'passed');
    const token = await purchase.catch(() => undefined);
    if (visit.isOver) return undefined;
    if (token === undefined || visit.tried.has(token.paymentHash) || !hasRoom(shop, token)) continue;
    holdToken(shop, visit, token);
    return token;
  }
  return findStored(shop, visit, undefined);
}

/** @returns `undefined` when it takes longer than this request waits */
function endOf({ clock }: Shop, visit: Visit, turn: Promise<TurnEnd>): Promise<TurnEnd | undefined> {
  const { givesUpAtMs = 0, request } = visit;
  return within(orAborted(turn, request.signal), givesUpAtMs - clock.nowMs(), clock);
}

/** @returns `false` when it is not worth it */
async function pause(shop: Shop, visit: Visit, turn: Turn, retryAfterMs: number): Promise<boolean> {
  const { clock, random, emit } = shop;
  const { url, signal } = visit.request;
  if (turn.tries >= MAX_TRIES || retryAfterMs > LONGEST_PAUSE_MS) {
    endTurn(visit, 'refused');
    return false;
  }
  const grown = Math.min(LONGEST_PAUSE_MS, LEAST_PAUSE_MS * 2 ** turn.tries);
  const pauseMs = Math.round(Math.max(retryAfterMs, grown) * (1 + JITTER * random()));
  if (clock.nowMs() + pauseMs > (visit.givesUpAtMs ?? 0)) {
    endTurn(visit, 'passed');
    return false;
  }
  turn.tries += 1;
  emit({ type: 'throttled', url: url.href, pauseMs });
  await clock.sleep(pauseMs, signal);
  signal?.throwIfAborted();
  return true;
}
