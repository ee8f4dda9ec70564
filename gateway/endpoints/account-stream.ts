import type { ServerResponse } from 'node:http';
import type { Account } from '../ledger/store.ts';
import type { AccountEvent, AccountEvents } from './account-events.ts';

/** One who wants to listen. */
export interface StreamRequest {
  readonly accountId: string;
  /** Unix seconds: when the credential ends, and the stream with it. */
  readonly validUntilSec: number;
  /** The address that it is counted under. */
  readonly client: string;
  /** Its head is written; it is ended or destroyed here. */
  readonly response: ServerResponse;
}

/** What one stream needs. */
export interface StreamDeps {
  readonly events: AccountEvents;
  /** `busy`: too many reads are under way, ask again later. Rejects when the ledger does not answer. */
  readonly readAccount: (accountId: string) => Promise<Account | undefined | 'busy'>;
  readonly isRevoked: (accountId: string) => boolean;
}

/** Ticks between two balances, between two looks at the ledger, between signs of life, and until a stalled reader is dropped. */
const BALANCE_TICKS = 4;
const LOOK_TICKS = 8;
const HEARTBEAT_TICKS = 60;
const STALLED_TICKS = 120;

/**
 * The events of one account, on their way to one reader. At most one event of a kind waits, the latest: what a reader does not
 * take piles up neither here nor in its socket.
 */
export class AccountStream {
  readonly request: StreamRequest;
  readonly #deps: StreamDeps;
  readonly #pending = new Map<AccountEvent['kind'], AccountEvent>();
  readonly #unsubscribe: () => void;
  /** The balance changed: the ledger is to be asked soon. */
  #stale = true;
  /** Counts what was published, so that an answer of the ledger which is older than that is not taken. */
  #published = 0;
  #lastBalanceMsat: number | undefined;
  #sinceBalance = BALANCE_TICKS;
  #sinceLook = LOOK_TICKS;
  #sinceWrite = 0;
  #stalled = 0;

  constructor(deps: StreamDeps, request: StreamRequest) {
    this.#deps = deps;
    this.request = request;
    this.#unsubscribe = deps.events.subscribe(request.accountId, (event) => this.#hear(event));
    request.response.write('retry: 3000\n\n');
  }

  /** Listens no more. */
  forget(): void {
    this.#unsubscribe();
  }

  /** Ends the response, perhaps with a last event. */
  end(event?: AccountEvent): void {
    if (this.request.response.writableEnded) return;
    if (event !== undefined) this.request.response.write(sse(event));
    this.request.response.end();
  }

  /** Writes what is due, and ends the stream when its account was revoked or its credential is over. */
  tick(nowSec: number): void {
    const { accountId, validUntilSec, response } = this.request;
    if (this.#deps.isRevoked(accountId)) this.end({ kind: 'revoked' });
    else if (validUntilSec <= nowSec) this.end();
    this.#sinceBalance += 1;
    this.#sinceWrite += 1;
    if (response.writableNeedDrain || response.writableEnded) {
      this.#stalled += 1;
      if (this.#stalled > STALLED_TICKS) response.destroy();
      return;
    }
    this.#stalled = 0;
    this.#sinceLook += 1;
    // Streams use credit by the second, and other gateways on the same store say nothing here: it is looked at in any case.
    const due = this.#sinceLook >= LOOK_TICKS || (this.#stale && this.#sinceBalance >= BALANCE_TICKS);
    if (due) void this.#askLedger();
    this.#writeDue();
  }

  #hear(event: AccountEvent | 'changed'): void {
    if (event === 'changed') {
      this.#stale = true;
      return;
    }
    this.#published += 1;
    this.#pending.set(event.kind, event);
  }

  async #askLedger(): Promise<void> {
    const published = this.#published;
    this.#stale = false;
    this.#sinceLook = 0;
    try {
      const account = await this.#deps.readAccount(this.request.accountId);
      if (account === 'busy') this.#stale = true;
      else if (account !== undefined && published === this.#published) this.#noteBalance(account);
    } catch {
      // The ledger is away: it is asked again soon.
    }
  }

  #noteBalance({ balanceMsat }: Account): void {
    if (balanceMsat !== this.#lastBalanceMsat) this.#pending.set('balance', { kind: 'balance', balanceMsat });
  }

  #writeDue(): void {
    for (const [kind, event] of this.#pending) {
      if (event.kind === 'balance') {
        if (this.#sinceBalance < BALANCE_TICKS) continue;
        this.#sinceBalance = 0;
        this.#lastBalanceMsat = event.balanceMsat;
      }
      this.#pending.delete(kind);
      this.#write(sse(event));
    }
    if (this.#sinceWrite >= HEARTBEAT_TICKS) this.#write(': still here\n\n');
  }

  #write(text: string): void {
    this.#sinceWrite = 0;
    this.request.response.write(text);
  }
}

/** One event, its data JSON on one line. */
function sse({ kind, ...data }: AccountEvent): string {
  return `event: ${kind}\ndata: ${JSON.stringify({ type: kind, ...data })}\n\n`;
}
