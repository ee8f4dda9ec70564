import type { NodeHttp } from '../http.ts';
import { NodeError, type Settlement } from '../node.ts';
import {
  ampLine,
  invoicePage,
  parseLine,
  readAnswer,
  readError,
  settledLine,
  toNodeError,
} from './answers.ts';
import { askPage } from './ask-page.ts';

/** Invoices a page; LND writes about 2 KB for each. */
const PAGE = 250;
const MAX_PAGE_BYTES = 8 * 1024 * 1024;

const SETTLED = Buffer.from('SETTLED');
const ERROR = Buffer.from('"error"');

/**
 * An add index that no invoice reaches. LND leaves out each added invoice up to the one that a subscriber has seen; without it, it would
 * decode, encode and send every invoice once more, which takes 0.66 ms of its CPU for each challenge. One below the largest int64: LND on
 * SQL asks its database for those from the next one on.
 */
const ALL_ADDED = '9223372036854775806';

/** Pages read to find the first settlement: a bound against a node that never ends, 25 million invoices. */
const MAX_PAGES = 100_000;

/**
 * Settlements strictly after `cursor`, then new ones. LND gives the backlog after `settle_index=N`, but for 0 only what
 * is new. So from the beginning we subscribe after 1, and find settlement 1 in the list of invoices; and before there
 * is any, we subscribe at 0 and look at the list again once the subscription stands.
 * @throws NodeError when the connection is lost
 */
export async function* settlements(
  http: NodeHttp,
  cursor: number,
  signal: AbortSignal,
): AsyncGenerator<Settlement> {
  if (signal.aborted) return;
  try {
    if (cursor > 0) {
      yield* after(http, cursor, signal);
      return;
    }
    const start = await findStart(http, signal);
    if (start.first !== undefined) yield start.first;
    const began = start.any || (yield* untilFirst(http, start.lastAddIndex, signal));
    if (began) yield* after(http, 1, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The subscription after a settle index above 0, which LND answers in order and without a gap. */
async function* after(http: NodeHttp, settleIndex: number, signal: AbortSignal): AsyncGenerator<Settlement> {
  let last = settleIndex;
  const query = `settle_index=${settleIndex}&add_index=${ALL_ADDED}`;
  for await (const settlement of subscribe(http, query, signal, mayMatter)) {
    // What settles while LND collects the backlog comes twice.
    if (settlement === undefined || settlement.cursor <= last) continue;
    last = settlement.cursor;
    yield settlement;
  }
}

/**
 * Waits for the first settlement of a node that has none. Its first event proves that the subscription stands: what
 * settled before is then in the list. `add_index` asks for the last invoice again, so that there is an event at once.
 * Added invoices can't be left out here: nothing but an event shows that LND has a subscription, not even the head of its answer.
 * Returns whether there was one: the feed then goes on after settlement 1.
 */
async function* untilFirst(
  http: NodeHttp,
  lastAddIndex: number,
  signal: AbortSignal,
): AsyncGenerator<Settlement, boolean> {
  let proved = false;
  const addIndex = Math.max(0, lastAddIndex - 1);
  for await (const settlement of subscribe(http, `settle_index=0&add_index=${addIndex}`, signal)) {
    if (settlement?.cursor === 1) {
      yield settlement;
      return true;
    }
    // A later one than the first, or the proof: the list knows.
    if (!proved || settlement !== undefined) {
      proved = true;
      const start = await findStart(http, signal);
      if (start.first !== undefined) yield start.first;
      if (start.any) return true;
    }
  }
  return false;
}

/** Each event of a subscription: a settlement, or `undefined` for an added invoice. */
async function* subscribe(
  http: NodeHttp,
  query: string,
  signal: AbortSignal,
  keeps: (line: Buffer) => boolean = () => true,
): AsyncGenerator<Settlement | undefined> {
  if (signal.aborted) return;
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const path = `/v1/invoices/subscribe?${query}`;
    // What a payer makes too long would otherwise stand in the way of all payments behind it: look-ups find it.
    const request = { method: 'GET', path, signal: stop.signal, keeps, longLines: 'skip' } as const;
    const { lines } = await http.stream(request);
    for await (const line of lines) yield readLine(line);
    if (!signal.aborted) throw new NodeError('unreachable', 'LND ended the subscription to invoices.');
  } finally {
    signal.removeEventListener('abort', abort);
    stop.abort();
  }
}

/** A node that tells of added invoices all the same has one line for each challenge: to parse them would cost more than to serve it. */
function mayMatter(line: Buffer): boolean {
  return line.includes(SETTLED) || line.includes(ERROR);
}

function readLine(line: string): Settlement | undefined {
  if (!line.includes('SETTLED') && !line.includes('"error"')) return undefined;
  const message = parseLine(line);
  const error = readError(message);
  if (error !== undefined) throw toNodeError(error, 500, 'the subscription to invoices');
  if (!isSettled(message) || ampLine.safeParse(message).success) return undefined;
  return toSettlement(readAnswer(settledLine, message, 'the subscription to invoices').result);
}

/** Whether any invoice is settled, and settlement 1 when it is still in the list. */
async function findStart(http: NodeHttp, signal: AbortSignal) {
  let offset = 0;
  let any = false;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const path = (limit: number) => `/v1/invoices?index_offset=${offset}&num_max_invoices=${limit}`;
    const request = { path, limit: PAGE, maxBytes: MAX_PAGE_BYTES, signal };
    const body = await askPage(http, request, 'the invoices');
    const { invoices, last_index_offset: next } = readAnswer(invoicePage, body, 'the invoices');
    for (const invoice of invoices) {
      if (invoice.state !== 'SETTLED' || invoice.settle_index < 1) continue;
      any = true;
      if (invoice.settle_index !== 1) continue;
      const { result } = readAnswer(settledLine, { result: invoice }, 'the invoices');
      return { any, first: toSettlement(result), lastAddIndex: next };
    }
    if (invoices.length === 0 || next <= offset) break;
    offset = next;
  }
  return { any, first: undefined, lastAddIndex: offset };
}

function toSettlement(invoice: {
  settle_index: number;
  r_hash: string;
  r_preimage: string;
  value_msat: Settlement['invoiceMsat'];
  amt_paid_msat: Settlement['paidMsat'];
  settle_date: number;
}): Settlement {
  return {
    cursor: invoice.settle_index,
    paymentHash: invoice.r_hash,
    preimage: invoice.r_preimage,
    invoiceMsat: invoice.value_msat,
    paidMsat: invoice.amt_paid_msat,
    settledAtSec: invoice.settle_date,
  };
}

function isSettled(message: unknown): boolean {
  if (typeof message !== 'object' || message === null || !('result' in message)) return false;
  const { result } = message;
  return typeof result === 'object' && result !== null && 'state' in result && result.state === 'SETTLED';
}
