import { z } from 'zod';
import type { NodeHttp } from '../http.ts';
import type { SettledInvoice, SettledPage, SettledQuery } from '../node.ts';
import { amount, hash, int64, readAnswer } from './answers.ts';
import { askPage } from './ask-page.ts';

/** LND writes about 2 KB for each invoice, and more for one that came in many parts. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;
/** Invoices a page at most, whatever was asked for. */
const MAX_PAGE = 250;

const page = z.object({
  invoices: z.array(z.object({ state: z.string(), creation_date: int64 }).loose()),
  first_index_offset: int64,
});

const settled = z.object({
  r_hash: hash,
  memo: z.string(),
  amt_paid_msat: amount,
  creation_date: int64,
  expiry: int64,
  settle_date: int64,
});

/**
 * `GET /v1/invoices?reversed=true`: from the newest invoice back, so that LND, which keeps every unpaid one too, never has to
 * pass over all that is older. @throws NodeError
 */
export async function settledInvoices(
  http: NodeHttp,
  { createdFromSec, before, limit }: SettledQuery,
  signal: AbortSignal | undefined,
): Promise<SettledPage> {
  const request = {
    path: (most: number) => `/v1/invoices?reversed=true&index_offset=${before}&num_max_invoices=${most}`,
    limit: Math.min(limit, MAX_PAGE),
    maxBytes: MAX_PAGE_BYTES,
    signal,
  };
  const body = await askPage(http, request, 'the invoices');
  const { invoices, first_index_offset: first } = readAnswer(page, body, 'the invoices');
  const inRange = invoices.filter((invoice) => invoice.creation_date >= createdFromSec);
  const found = inRange.filter((invoice) => invoice.state === 'SETTLED' && invoice['is_amp'] !== true);
  // An index that does not fall would lead round in circles.
  const isEnd = invoices.length > inRange.length || invoices.length === 0 || first <= 1;
  const next = isEnd || (before > 0 && first >= before) ? undefined : first;
  return { invoices: found.map(toSettled), ...(next === undefined ? {} : { next }) };
}

function toSettled(invoice: unknown): SettledInvoice {
  const answer = readAnswer(settled, invoice, 'the invoices');
  return {
    paymentHash: answer.r_hash,
    memo: answer.memo,
    paidMsat: answer.amt_paid_msat,
    createdAtSec: answer.creation_date,
    expiresAtSec: answer.creation_date + answer.expiry,
    settledAtSec: answer.settle_date,
  };
}
