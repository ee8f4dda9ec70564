import type { Msat } from '../../node/msat.ts';
import type { MeteredPrice } from './rate.ts';

/** Why the meter itself ended a stream. */
export type CutReason =
  /** The credit ran out, and none came while the stream was held. */
  | 'unpaid'
  /** The account was revoked. */
  | 'revoked'
  /** The account's credit, or the pass, reached its end. */
  | 'expired'
  /** The lease, or one that held a place, was not renewed in time: the store was away for too long, or says that there is no such lease. */
  | 'lease-lost'
  /** What passes can't be counted: not frames, or events hidden by an encoding. */
  | 'uncountable'
  /** The client took no data for too long. */
  | 'client-stalled'
  /** The gateway is stopping. */
  | 'closing';

/** What a stream's client, feed and metrics are told. */
export type MeterNotice =
  /** The credit lasts for `remainingMs` more at the present pace. Once each time that it falls below `warnMs`. */
  | { readonly kind: 'low'; readonly remainingMs: number; readonly balanceMsat: Msat }
  /** The credit is used up; the stream is held for `holdMs`. */
  | {
      readonly kind: 'exhausted';
      readonly holdMs: number;
      readonly balanceMsat: Msat;
      readonly neededMsat: Msat;
    }
  /** Credit came; the stream goes on. */
  | { readonly kind: 'resumed'; readonly balanceMsat: Msat }
  | { readonly kind: 'cut'; readonly cutBy: CutReason };

/** Which direction of a stream is counted, for bytes and events. */
export type CountedSide = 'response' | 'request' | 'both';

/** How one stream is charged. Everything that the request and its service decide. */
export interface MeterTerms {
  readonly accountId: string;
  /** For metrics, and for what `charge: once` brings together. */
  readonly service: string;
  /** Already the lower of the locked and the present price. */
  readonly price: MeteredPrice;
  readonly transport: 'http' | 'websocket';
  /** Most streams of the account at once, in all processes on the store; undefined: any number. */
  readonly maxStreams?: number | undefined;
  /** `once`: the streams of an account share one charge for time. Only seconds: bytes and events are each charged. */
  readonly charge: 'each' | 'once';
  /** Default 1,000. */
  readonly sliceMs?: number | undefined;
  /** How long an exhausted stream waits for credit; 0 ends it. */
  readonly holdMs: number;
  /** Warn when the credit lasts for less than this; 0: never. */
  readonly warnMs: number;
  /** Seconds: whether the time until the upstream's first byte is charged. */
  readonly chargeFrom: 'response' | 'request';
  /** Default `response`. */
  readonly count?: CountedSide | undefined;
  /** Set aside before the upstream is asked, when the balance allows: a known Content-Length, a request's own bound. */
  readonly firstUnits?: number | undefined;
  /** With less than this the stream is not opened. Default: `firstUnits` when given, else little. */
  readonly leastUnits?: number | undefined;
  /** Whether a response with this status is charged for; default: every one. */
  readonly charges?: ((status: number) => boolean) | undefined;
  /** Bytes a second at which a response may leave at most. */
  readonly paceBytesPerSec?: number | undefined;
  /** Bytes that were written and have not left the process (`res.writableLength`): not delivered yet. */
  readonly unsentBytes?: (() => number) | undefined;
  /** Told of everything that happens; it does not throw. */
  readonly onNotice?: ((notice: MeterNotice) => void) | undefined;
  /**
   * What is said inside the stream, between two of its own messages: the data of an SSE event, the text of a WebSocket message.
   * Undefined: nothing. Without this function SSE says `noticeText`, and WebSocket nothing.
   */
  readonly inBand?: ((notice: MeterNotice) => string | undefined) | undefined;
}

/** What one stream came to. */
export interface MeterReport {
  readonly billedMsat: Msat;
  /** In the price's own units; seconds with three decimals. */
  readonly deliveredUnits: number;
  readonly heldMs: number;
  /** Undefined when the stream ended by itself. */
  readonly cutBy: CutReason | undefined;
}

/** How a stream ended, as far as the caller knows better than the meter. */
export interface MeterEnd {
  /** The true total in the price's units (bytes that left, tokens that were reported). Not for seconds. */
  readonly units?: number;
  /** What pays for a total over what is set aside: nothing (the default), or the balance, as far as it goes. */
  readonly payFrom?: 'set-aside' | 'balance';
  /** Nothing more is billed: the upstream failed before its first byte. */
  readonly waive?: boolean;
}

/** Controls over a response on its way: the narrow part of gateway/proxy/response-tap.ts that a meter uses. */
export interface FlowControls {
  pause(): void;
  resume(): void;
  cut(): void;
  inject(bytes: Buffer): void;
  finish(): void;
}

/** A response's head: status, and headers as a flat list. */
export interface FlowHead {
  readonly status: number;
  readonly headers: readonly string[];
}

/** Watches a response; a `ResponseTap`. */
export interface MeterTap {
  open(head: FlowHead, controls: FlowControls): void;
  chunk(bytes: Buffer): void;
  close(): void;
}

/** Controls over a request's body on its way. After `pause` the chunk just shown waits for `resume`. */
export interface UploadControls {
  pause(): void;
  resume(): void;
}

/** Watches a request's body on its way to the upstream. */
export interface UploadTap {
  open(controls: UploadControls): void;
  chunk(bytes: Buffer): void;
}

/** A piece of one direction, before it passes. */
export interface Passing {
  readonly bytes: number;
  /** Events that begin in it. */
  readonly events: number;
  /** Events that have begun and are not complete after it: 0 or 1. */
  readonly unfinished: number;
}

/** What carries a stream that is not a plain response: it is paused, told and ended through this. */
export interface Carrier {
  /** Nothing more may be delivered in either direction. */
  pause(): void;
  resume(): void;
  tell(notice: MeterNotice): void;
  end(cutBy: CutReason): void;
  /** As in {@link MeterTerms}, when the carrier knows better. */
  unsentBytes?(): number;
}

/** One stream that is being charged. */
export interface Meter {
  readonly accountId: string;
  readonly terms: MeterTerms;
  /** Left after the first reservation, msat; then as the store last said. */
  readonly balanceMsat: Msat;
  /**
   * What is a part of the balance again when nothing of this stream is charged, msat: what is set aside and what was billed. None of a
   * charge that several streams share: nobody can say which of them took it.
   */
  readonly refundableMsat: Msat;
  /** For an HTTP response. */
  readonly tap: MeterTap;
  /** For a request's body, when requests are counted. */
  readonly upload: UploadTap;
  /** Set once the meter ended the stream. */
  readonly cutBy: CutReason | undefined;
  /** Whether so many units in all could be paid for, as of the last answer of the store: for a known Content-Length. */
  affords(units: number): boolean;
  /**
   * A running total of reported units; it never shrinks. False: more than is set aside, the stream is held until it is. Called
   * before the tap is shown the chunk that it came from: so the chunk waits too, and notices stand before it.
   */
  report(totalUnits: number): boolean;
  /** As `report`, for a total that may still fall: it must be covered, and is paid for at the end only. */
  foresee(totalUnits: number): boolean;
  /** Connects something other than an HTTP response. */
  attach(carrier: Carrier): void;
  /** The upstream accepted: what is charged from the response on is charged from now on. */
  begin(): void;
  /** The upstream's answer is of a kind that is not charged for: from now on everything passes, and nothing is billed. */
  exempt(): void;
  /** Counts what is about to pass, before it passes. False: it waits until the carrier is resumed. */
  pass(side: 'request' | 'response', passing: Passing): boolean;
  /** What had to wait in this direction goes on its way: the carrier was resumed. */
  flowed(side: 'request' | 'response'): void;
  /** Delivery is over; the time until `end` is not charged. */
  stop(): void;
  /** Cuts the stream. */
  cut(by: CutReason): void;
  /** Ends the charge and releases what is left; the same report each time. Call it in `finally`, whatever happened. Never rejects. */
  end(how?: MeterEnd): Promise<MeterReport>;
}

/** Outcome of opening a stream. All but `opened` are refusals: nothing is set aside, nothing may be forwarded. */
export type Opened =
  | { readonly kind: 'opened'; readonly meter: Meter }
  | { readonly kind: 'insufficient'; readonly balanceMsat: Msat; readonly neededMsat: Msat }
  | { readonly kind: 'too-many' | 'expired' | 'revoked' | 'unknown-account' };
