import type { Invoice } from '../../node/node.ts';
import type { InvoiceTerms } from './make-invoice.ts';

/**
 * The invoices made ahead for one price, and how many more may be made. Only what was asked for earns that right: an invoice that
 * was drawn may be replaced, and while fewer are at hand than were asked for lately, one more may be made. What nobody asks for ages,
 * is dropped, and comes back only with those who ask.
 */
export interface Shelf {
  readonly terms: InvoiceTerms;
  /** Oldest first. */
  readonly stock: Invoice[];
  /** Invoices being made. */
  making: number;
  /** Invoices that may still be made. Never more than `size` together with `stock` and `making`. */
  earned: number;
  /** From below `refillBelow` until it is full again. */
  filling: boolean;
  /** The newest of those that the node may have forgotten: looked up as soon as it answers. */
  doubted: Invoice | undefined;
  /** Its price is no longer sold: what is still made for it is withdrawn. */
  gone: boolean;
  askedAtMs: number;
  /** Challenges asked for in this span and in the one before, each as long as a pooled invoice is good. */
  asks: number;
  asksBefore: number;
  spanStartMs: number;
}

/** An empty shelf, for somebody who asks for the first time. */
export function newShelf(terms: InvoiceTerms, nowMs: number): Shelf {
  return {
    terms,
    stock: [],
    making: 0,
    earned: 0,
    filling: false,
    doubted: undefined,
    gone: false,
    askedAtMs: Number.NEGATIVE_INFINITY,
    asks: 0,
    asksBefore: 0,
    spanStartMs: nowMs,
  };
}

/** Two orders with one key are for the same invoice. */
export function shelfKey({ amountMsat, expirySec, memo }: InvoiceTerms): string {
  return `${amountMsat} ${expirySec} ${memo}`;
}

/** How long a pooled invoice is good for, ms: whoever gets it has at least half of its time left to pay. */
export function goodForMs({ expirySec }: InvoiceTerms): number {
  return (expirySec * 1000) / 2;
}

/** Takes the oldest invoice, and notes that one was asked for. */
export function drawFrom(shelf: Shelf, size: number, nowMs: number): Invoice | undefined {
  const goodMs = goodForMs(shelf.terms);
  if (nowMs - shelf.spanStartMs >= goodMs) {
    shelf.asksBefore = nowMs - shelf.spanStartMs >= 2 * goodMs ? 0 : shelf.asks;
    shelf.asks = 0;
    shelf.spanStartMs = nowMs;
  }
  shelf.asks += 1;
  const wasAsked = nowMs - shelf.askedAtMs < goodMs;
  shelf.askedAtMs = nowMs;
  const invoice = shelf.stock.shift();
  // Somebody who comes once in a while costs one invoice, as without a pool.
  if (invoice !== undefined) earn(shelf, 2, size);
  else if (wasAsked) earn(shelf, 1, size);
  return invoice;
}

/** Gives the right to make so many more. */
export function earn(shelf: Shelf, invoices: number, size: number): void {
  const wanted = Math.min(size, Math.max(shelf.asks, shelf.asksBefore));
  const room = Math.max(0, wanted - shelf.stock.length - shelf.making);
  shelf.earned = Math.min(shelf.earned + invoices, room);
}

/** Whether one more is to be made now. */
export function wantsOne(shelf: Shelf, size: number, refillBelow: number): boolean {
  const level = shelf.stock.length + shelf.making;
  if (level < refillBelow) shelf.filling = true;
  if (level >= size || shelf.earned === 0) shelf.filling = false;
  return shelf.filling && !shelf.gone;
}

/** Takes out what is no longer good, by our clock; for what nobody asked for lately nothing more is made. */
export function takeStale(shelf: Shelf, nowMs: number): Invoice[] {
  const goodMs = goodForMs(shelf.terms);
  const goodFromMs = nowMs + goodMs;
  if (nowMs - shelf.askedAtMs >= goodMs) shelf.earned = 0;
  const fresh = shelf.stock.filter(({ expiresAtSec }) => expiresAtSec * 1000 >= goodFromMs);
  if (fresh.length === shelf.stock.length) return [];
  const stale = shelf.stock.filter(({ expiresAtSec }) => expiresAtSec * 1000 < goodFromMs);
  shelf.stock.splice(0, shelf.stock.length, ...fresh);
  return stale;
}
