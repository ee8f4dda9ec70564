import { createHash } from 'node:crypto';
import { MAX_MEMO_BYTES } from '../../node/bolt11.ts';

/*
 * Several gateways and other programs may take payments on one node. The invoices of one ledger end with `[sluice:1a2b3c4d]`,
 * after what a person reads. The tag only says whose invoice it is: nothing is ever credited on its word.
 */

const MEMO = /^(.*?)\s?\[sluice:([0-9a-f]{8})\]$/s;
const SERVICE = /(?:^|: )([a-z0-9-]{1,128})(?:, top-up)?$/;

/** What the memo of a tagged invoice says. */
export interface TaggedMemo {
  readonly tag: string;
  /** The service that it was made for; `undefined` when the memo was cut or has another form. */
  readonly service: string | undefined;
}

/**
 * The tag of a ledger's invoices: 8 hex digits of a hash of the store's generation, because what was sold under another
 * generation is void and not this ledger's.
 */
export function invoiceTag(generation: string): string {
  return createHash('sha256').update(`sluice/invoice-tag/v1\0${generation}`).digest('hex').slice(0, 8);
}

/** The memo with the tag at its end. A memo that is too long for an invoice loses its own end, never the tag. */
export function tagMemo(memo: string, tag: string): string {
  const suffix = ` [sluice:${tag}]`;
  const room = MAX_MEMO_BYTES - Buffer.byteLength(suffix);
  if (Buffer.byteLength(memo) <= room) return memo + suffix;
  // The decoder leaves half a character out when it is told that more is to come.
  const cut = new TextDecoder().decode(Buffer.from(memo).subarray(0, room), { stream: true });
  return cut + suffix;
}

/** Reads the memo of an invoice; `undefined` when it carries no tag. */
export function readMemo(memo: string): TaggedMemo | undefined {
  const parts = MEMO.exec(memo.slice(0, MAX_MEMO_BYTES));
  if (parts === null) return undefined;
  const [, text = '', tag = ''] = parts;
  return { tag, service: SERVICE.exec(text)?.[1] };
}
