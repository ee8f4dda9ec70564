import { type AccountReport, readAccountReport, readEventData } from './account-report.ts';
import { AccountError, openAccountFeed, type PaidAccount } from './account-requests.ts';
import type { StreamNotice } from './events.ts';
import { readChunks } from './read-chunks.ts';
import { type SseEvent, SseReader } from './sse.ts';
import type { Shop } from './visit.ts';

/** Who is told what the feed of an account says. */
export interface FeedListener {
  report(report: AccountReport): void;
  notice(notice: StreamNotice): void;
  /** Whether the feed is open: while it is not, the account has to be asked. */
  open(isOpen: boolean): void;
}

/** What the events of a gateway mean, in the account's feed and inside a stream. */
export const NOTICES: Readonly<Record<string, StreamNotice>> = {
  warning: 'low',
  'payment-low': 'low',
  'payment-need-topup': 'exhausted',
  'payment-resumed': 'resumed',
  'session-timeout': 'cut',
  revoked: 'revoked',
};

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 15_000;
/** An event of a feed is one line of JSON. */
const MAX_EVENT_BYTES = 16_384;

/**
 * Listens to the feed of an account until `signal` aborts, and opens it again whenever it breaks off. Ends at once when the server
 * has no feed: the account is then only asked. Never rejects.
 */
export async function followFeed(
  shop: Shop,
  account: PaidAccount,
  listener: FeedListener,
  signal: AbortSignal,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    let waitMs = pauseMs;
    try {
      const response = await openAccountFeed(shop, account, signal);
      listener.open(true);
      if (await listen(response, shop, listener, signal)) pauseMs = FIRST_PAUSE_MS;
    } catch (error) {
      if (error instanceof AccountError && error.kind === 'missing') return;
      // A token that is refused may be replaced: another stream of the account may top it up.
      if (error instanceof AccountError && error.kind === 'refused') waitMs = MAX_PAUSE_MS;
      if (error instanceof AccountError) waitMs = Math.max(waitMs, error.retryAfterMs ?? 0);
    } finally {
      listener.open(false);
    }
    await shop.clock.sleep(waitMs, signal);
  }
}

/** @returns whether the feed said anything */
async function listen(
  response: Response,
  { clock }: Shop,
  listener: FeedListener,
  signal: AbortSignal,
): Promise<boolean> {
  const reader = new SseReader(MAX_EVENT_BYTES);
  let heard = false;
  for await (const chunk of readChunks(response.body, signal)) {
    for (const { event } of reader.push(chunk)) {
      if (event === undefined) continue;
      heard = true;
      tell(event, listener, clock.nowMs());
    }
  }
  return heard;
}

function tell({ name, data }: SseEvent, listener: FeedListener, nowMs: number): void {
  const report = readAccountReport(readEventData(data), nowMs);
  if (report !== undefined) listener.report(report);
  const notice = Object.hasOwn(NOTICES, name) ? NOTICES[name] : undefined;
  if (notice !== undefined) listener.notice(notice);
}
