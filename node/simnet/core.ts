import type { KeyObject } from 'node:crypto';
import type { Network } from '../node.ts';
import type { OpenInvoices } from './open-invoices.ts';
import type { Records } from './records.ts';
import type { Page, SimnetEvent, SimnetPayment, SimnetSettings } from './types.ts';

/** What all wallets of one network share. */
export interface Core {
  readonly network: Network;
  readonly records: Records;
  readonly open: OpenInvoices;
  readonly peers: Map<string, Peer>;
  /** Aborts when the network closes. */
  readonly closing: AbortSignal;
  readonly nowMs: () => number;
  readonly randomFraction: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  settings: SimnetSettings;
}

/** One wallet's node, from the inside. */
export interface Peer {
  readonly name: string;
  readonly privateKey: Buffer;
  readonly publicKey: string;
  readonly macaroon: string;
  /** Preimages are derived from it. New with each process, so that a restored file never issues a preimage again. */
  readonly invoiceSecret: KeyObject;
  readonly listeners: Set<(event: SimnetEvent) => void>;
  readonly flights: Map<string, Flight>;
  nextAddIndex: number;
  /** Add indexes below this are recorded as used up. */
  reservedAddIndex: number;
  /** Set aside for payments in flight, msat. */
  inFlightMsat: number;
  /** Held payments that may still be taken, msat: nothing else can be received in their place. */
  heldMsat: number;
}

/** A payment under way. `final` is `undefined` when the network closed before it arrived: then no money moved. */
export interface Flight {
  readonly payment: SimnetPayment;
  readonly final: Promise<SimnetPayment | undefined>;
}

/** Unix seconds of the network's clock. */
export function nowSecOf(core: Core): number {
  return Math.floor(core.nowMs() / 1000);
}

/** Tells everybody who listens to this wallet, in a turn of its own: a listener that throws must not fail a payment. */
export function announce(peer: Peer, event: SimnetEvent): void {
  for (const listener of peer.listeners) queueMicrotask(() => listener(event));
}

/** One page of records that are partly stored (`stored` is a page already) and partly in memory, in ascending index. */
export function mergePage<T>(
  stored: readonly T[],
  live: Iterable<T>,
  indexOf: (record: T) => number,
  page: Page,
): readonly T[] {
  const merged = [...stored];
  for (const record of live) {
    const index = indexOf(record);
    if (page.offset === 0 || (page.order === 'forwards' ? index > page.offset : index < page.offset)) {
      merged.push(record);
    }
  }
  merged.sort((a, b) => indexOf(a) - indexOf(b));
  return page.order === 'forwards'
    ? merged.slice(0, page.limit)
    : merged.slice(Math.max(0, merged.length - page.limit));
}
