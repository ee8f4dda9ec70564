import { wordOf } from './bech32.ts';
import { type DecodedInvoice, decodeInvoice } from './bolt11/decode-invoice.ts';
import { type Invoice, type InvoiceRequest, type Network, NodeError } from './node.ts';

export { type DecodedInvoice, decodeInvoice } from './bolt11/decode-invoice.ts';
export { hasNativeSecp256k1 } from './bolt11/recover-payee.ts';
export { MAX_MEMO_BYTES, publicKeyOf, signInvoice } from './bolt11/sign-invoice.ts';

/** What an invoice was asked for. */
export interface AskedInvoice extends Pick<InvoiceRequest, 'amountMsat' | 'memo' | 'descriptionHash'> {
  readonly network: Network;
  /** The node's own key, 66 hex digits; absent: any key may have signed. */
  readonly payee?: string;
  /** Unix seconds. */
  readonly nowSec: number;
  /** The invoice may live no longer than this from now on, seconds (plus a minute for clocks that differ). */
  readonly maxExpirySec?: number;
}

/** How far a node's clock may differ from ours, seconds. */
const CLOCK_SKEW_SEC = 60;

/**
 * Checks an invoice that a node returned against what it was asked for, before anybody sees it: a node that is wrong or
 * hostile must not make a client pay another hash, amount, network or payee, nor show it another description.
 * @throws NodeError `bad-invoice`, naming what differs.
 */
export function checkInvoice(invoice: Invoice, asked: AskedInvoice): DecodedInvoice {
  const decoded = decodeInvoice(invoice.bolt11);
  if (decoded.network !== asked.network) throw differs('network', decoded.network, asked.network);
  if (decoded.paymentHash !== invoice.paymentHash) {
    throw differs('payment hash', decoded.paymentHash, invoice.paymentHash);
  }
  if (decoded.amountMsat !== asked.amountMsat) {
    throw differs('amount in msat', decoded.amountMsat ?? 'none', asked.amountMsat);
  }
  if (invoice.amountMsat !== asked.amountMsat) {
    throw differs('amount in msat (as the node reports it)', invoice.amountMsat, asked.amountMsat);
  }
  if (asked.payee !== undefined && decoded.payee !== asked.payee) {
    throw differs('payee', decoded.payee, asked.payee);
  }
  checkDescription(decoded, asked);
  if (decoded.expiresAtSec !== invoice.expiresAtSec) {
    throw differs('expiry (unix seconds)', decoded.expiresAtSec, invoice.expiresAtSec);
  }
  if (decoded.expiresAtSec <= asked.nowSec) {
    throw badInvoice(
      `it expired ${asked.nowSec - decoded.expiresAtSec} s ago; compare the node's clock with ours`,
    );
  }
  const latestSec = asked.nowSec + (asked.maxExpirySec ?? Number.POSITIVE_INFINITY) + CLOCK_SKEW_SEC;
  if (decoded.expiresAtSec > latestSec) {
    throw badInvoice(
      `it lives ${decoded.expiresAtSec - asked.nowSec} s, longer than the ${asked.maxExpirySec} s asked for`,
    );
  }
  return decoded;
}

/** A hash stands in place of the memo. What the memo says is not repeated: whoever wrote it may be hostile. */
function checkDescription(decoded: DecodedInvoice, { memo, descriptionHash }: AskedInvoice): void {
  if (decoded.descriptionHash !== descriptionHash) {
    throw differs('description hash', decoded.descriptionHash ?? 'none', descriptionHash ?? 'none');
  }
  // Half a surrogate pair has no UTF-8: it travels as U+FFFD.
  const wanted = descriptionHash === undefined ? memo.toWellFormed() : '';
  if ((decoded.memo ?? '') !== wanted) throw badInvoice('its description is not the one that was asked for');
}

/**
 * The timestamp of an invoice, Unix seconds, read without decoding the rest (which costs as much as its signature).
 * Trust it only after {@link checkInvoice}.
 * @throws NodeError `bad-invoice`.
 */
export function readTimestampSec(text: string): number {
  const start = text.lastIndexOf('1') + 1;
  const words = text.slice(start, start + 7);
  let seconds = 0;
  for (const word of words) {
    const value = wordOf(word);
    if (value === undefined) throw badInvoice('it has no timestamp');
    seconds = seconds * 32 + value;
  }
  if (start === 0 || words.length !== 7) throw badInvoice('it has no timestamp');
  return seconds;
}

function badInvoice(why: string): NodeError {
  return new NodeError('bad-invoice', `The invoice is not usable: ${why}.`);
}

function differs(what: string, got: string | number, wanted: string | number): NodeError {
  return new NodeError(
    'bad-invoice',
    `The node's invoice has another ${what} than asked: ${got}, not ${wanted}.`,
  );
}
