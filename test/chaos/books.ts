import { readTerms } from '../../gateway/l402/caveat.ts';
import { decodeIdentifier } from '../../gateway/l402/identifier.ts';
import { macaroonFromText } from '../../gateway/l402/macaroon.ts';
import type { Stretch } from './bounds-together.ts';

/** A purchase or a top-up that a client decided to pay for, and what its wallet said. */
export interface Bought {
  readonly client: number;
  readonly paymentHash: string;
  readonly macaroon: string;
  readonly accountId: string;
  readonly service: string;
  /** What the gateway promised to credit; 0 for a pass. */
  readonly creditMsat: number;
  /** `unknown`: the wallet could not say yet. */
  payment: { readonly kind: 'unknown' | 'failed' } | Paid;
  readonly intention: Intention;
}

/**
 * What a client will do with what it has paid for. `use`: it presents it. `abandon`: it never comes back with it. `wait`: a top-up that
 * it leaves to the gateways to hear of.
 */
export type Intention = 'use' | 'abandon' | 'wait';

/** What a wallet says of a payment that succeeded. */
export interface Paid {
  readonly kind: 'paid';
  readonly amountMsat: number;
  readonly preimage: string;
}

/** How the answer of one request ended. `none`: it never began; `left`: the client went by its own will. */
export type SentEnd = 'whole' | 'broken' | 'none' | 'left';

/** One request that reached a gateway (or may have), and what came of it. */
export interface Sent {
  readonly client: number;
  /** Names the request; its repetitions have the same. */
  readonly id: string;
  readonly gateway: number;
  readonly service: string;
  /** The account of the credential; '' when there was none that can be read. */
  readonly accountId: string;
  /** The payment that the credential is for; '' likewise. */
  readonly paymentHash: string;
  readonly idempotencyKey: string | undefined;
  /** What it is for, so that cheats can be told from honest requests. */
  readonly intent: Intent;
  readonly sentAtMs: number;
  /** When the answer's head came. */
  headAtMs: number;
  endedAtMs: number;
  status: number | undefined;
  /** The answer is the upstream's own. */
  fromUpstream: boolean;
  end: SentEnd;
  bytes: number;
  /** How many bytes were asked for; 0 when that is not what was asked. */
  readonly wantedBytes: number;
  /** How long the answer is, as its head says; 0 when it does not. */
  expectedBytes: number;
  /** When something came all the while: what a stream delivered at the least. */
  readonly runs: Stretch[];
  /** From the notice that the money is used up to the next thing that came: a held stream costs nothing. */
  readonly holds: Stretch[];
}

/** `cheat`: it must get nothing. `contest`: several are sent with money for one. */
export type Intent = 'honest' | 'cheat' | 'contest';

/** All that the clients of a run know. */
export interface Books {
  readonly bought: Map<string, Bought>;
  readonly sent: Sent[];
  /** What clients gave up, by the reason: nothing of it costs money by itself. */
  readonly givenUp: Map<string, number>;
}

/** Empty books. */
export function openBooks(): Books {
  return { bought: new Map(), sent: [], givenUp: new Map() };
}

/** Counts something that a client had to give up. */
export function giveUp(books: Books, why: string): void {
  books.givenUp.set(why, (books.givenUp.get(why) ?? 0) + 1);
}

/** What a credential's macaroon says of itself. Empty for one that can't be read. */
export interface ReadTerms {
  readonly accountId: string;
  readonly service: string;
  readonly creditMsat: number;
  readonly paymentHash: string;
}

const NO_TERMS: ReadTerms = { accountId: '', service: '', creditMsat: 0, paymentHash: '' };

/** Reads the terms of a macaroon, base64. */
export function termsOfMacaroon(macaroon: string): ReadTerms {
  try {
    const { identifier, caveats } = macaroonFromText(macaroon);
    const { paymentHash } = decodeIdentifier(identifier);
    const reading = readTerms(caveats);
    return reading.kind === 'terms' ? { ...reading.minted, paymentHash } : NO_TERMS;
  } catch {
    return NO_TERMS;
  }
}
