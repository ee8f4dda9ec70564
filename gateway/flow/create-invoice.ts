import type { ChallengeConfig } from '../../config/config.ts';
import type { Msat } from '../../node/msat.ts';
import {
  type Invoice,
  type InvoiceState,
  type LightningNode,
  NodeError,
  type NodeInfo,
} from '../../node/node.ts';
import { GatewayError } from '../errors.ts';
import type { InvoiceFailure } from '../observe/metrics.ts';
import { createConcurrencyGate } from './concurrency.ts';
import { createInvoicePool, type DropReason, type InvoicePool } from './invoice-pool.ts';
import { type InvoiceTerms, invoiceMaker } from './make-invoice.ts';
import type { Asker, Outstanding, Place } from './outstanding.ts';
import { NODE_RETRY_SEC, nodeNotReady, STILL_SERVED } from './refuse-unpayable.ts';
import type { SharedClients, SharedPlace } from './shared-clients.ts';
import type { Throttle } from './throttle.ts';
import { withinTime } from './within-time.ts';

/** What an invoice is asked for. */
export interface InvoiceOrder {
  readonly asker: Asker;
  readonly amountMsat: Msat;
  readonly memo: string;
  /** `fixed`: everybody who asks for this gets the same terms, so that the invoice may have been made ahead. */
  readonly price: 'fixed' | 'dynamic';
}

/** Makes the invoices of challenges: bounded, and checked before anybody sees one. */
export interface Invoicer {
  /**
   * @throws GatewayError `throttled` (this client asked too often), `busy` (too many unpaid invoices in all),
   *   `node-unavailable` (the node is down, slow, or returned an invoice that is not what was asked), `node-not-ready` (locked,
   *   starting, not synced), `node-wrong-network`, `no-inbound` (it can't be paid so much).
   */
  createInvoice(order: InvoiceOrder): Promise<Invoice>;
  /**
   * What became of an invoice, asked in turn with those who buy, who always keep half of the turns.
   * @throws NodeError `busy` when too many ask
   */
  lookUp(paymentHash: string): Promise<InvoiceState | undefined>;
  /** A payment was presented: its place is free again. */
  paid(paymentHash: string): void;
  /** Invoices issued and neither paid nor expired. */
  outstanding(): number;
  /** Invoices made ahead. */
  readonly pool: Pick<InvoicePool, 'count' | 'retain' | 'doubt' | 'close'>;
}

/** What an {@link Invoicer} needs. */
export interface InvoicerDeps {
  readonly node: LightningNode;
  /** Who the node is, from its own mouth: invoices must be signed by its key, for its network. */
  readonly nodeInfo: (signal: AbortSignal) => Promise<NodeInfo>;
  /** The memo as the invoice carries it: with a mark by which it is known again. */
  readonly tagMemo: (memo: string) => string;
  readonly limits: () => ChallengeConfig;
  readonly throttle: Throttle;
  readonly outstanding: Outstanding;
  /** Counts clients at all gateways together, where `limits` says so; absent: each gateway by itself. */
  readonly sharedClients?: SharedClients | undefined;
  readonly nowMs: () => number;
  /** Why an invoice of this amount can't be paid now, as far as is known; absent: nothing is known. */
  readonly refusal?: (amountMsat: Msat) => GatewayError | undefined;
  /** Called for each invoice that was not made, with why. */
  readonly onFailed: (reason: InvoiceFailure, error: unknown) => void;
  readonly onDraw?: (result: 'hit' | 'miss') => void;
  readonly onDropped?: (reason: DropReason, invoices: number) => void;
}

/** What can be paid, then the throttle, then the caps, then the pool or the node and the check of what it returned. */
export function createInvoicer(deps: InvoicerDeps): Invoicer {
  const gate = createConcurrencyGate();
  const lookUps = createConcurrencyGate();

  const make = invoiceMaker(deps);
  const { onDraw = () => {}, onDropped = () => {} } = deps;
  const pool = createInvoicePool({ ...deps, make, gate, onDraw, onDropped });

  const askNode = async (terms: InvoiceTerms, limits: ChallengeConfig): Promise<Invoice> => {
    // From here on, not from the node's turn: a node that hangs must not keep a whole queue waiting one by one.
    const invoice = await withinTime(limits.nodeTimeoutMs, (signal) =>
      gate.run(limits.nodeConcurrency, () => {
        if (!signal.aborted) return make(terms, signal);
        throw new NodeError('timeout', 'the requests before this one took the node too long');
      }),
    );
    if (invoice === 'full') throw new NodeError('busy', 'too many requests wait for the node');
    return invoice;
  };

  return {
    async createInvoice({ asker, amountMsat, memo, price }) {
      const refusal = deps.refusal?.(amountMsat);
      if (refusal !== undefined) {
        deps.onFailed(reasonOf(refusal), undefined);
        throw refusal;
      }
      const limits = deps.limits();
      const place = admit(deps, asker, limits);
      const shared =
        limits.shared && deps.sharedClients !== undefined
          ? await admitEverywhere(deps, deps.sharedClients, asker, limits, place)
          : undefined;
      const terms = { amountMsat, memo, expirySec: limits.invoiceExpirySec };
      const pooled = price === 'fixed' ? pool.draw(terms) : undefined;
      try {
        const invoice = pooled ?? (await askNode(terms, limits));
        if (pooled === undefined) pool.answered();
        place.hold(invoice.paymentHash, invoice.expiresAtSec, shared?.giveBack);
        return invoice;
      } catch (error) {
        place.giveBack();
        shared?.giveBack();
        if (error instanceof NodeError && error.code === 'bad-invoice') pool.forget();
        throw explain(error, deps.onFailed);
      }
    },
    async lookUp(paymentHash) {
      const { nodeConcurrency, nodeTimeoutMs } = deps.limits();
      const state = await withinTime(nodeTimeoutMs, (signal) =>
        lookUps.run(Math.ceil(nodeConcurrency / 2), () =>
          gate.run(nodeConcurrency, () => deps.node.lookupInvoice(paymentHash, { signal })),
        ),
      );
      if (state === 'full') throw new NodeError('busy', 'too many ask the node for invoices');
      return state;
    },
    paid: (paymentHash) => deps.outstanding.paid(paymentHash),
    outstanding: () => deps.outstanding.count(),
    pool,
  };
}

function reasonOf({ code }: GatewayError): InvoiceFailure {
  return code === 'no-inbound' || code === 'clock-ahead' || code === 'store-mismatch' ? code : 'not-ready';
}

function admit(deps: InvoicerDeps, asker: Asker, limits: ChallengeConfig): Place {
  const verdict = deps.throttle.take(asker.clientKey, limits);
  if (verdict.kind === 'wait') throw tooOften(deps, verdict.retryAfterSec);
  const admission = deps.outstanding.admit(asker, limits);
  if (admission.kind === 'admitted') return admission.place;
  deps.onFailed('outstanding', undefined);
  throw admission.kind === 'full-for-client' ? tooManyUnpaid(limits) : busy();
}

/**
 * Asked after this gateway's own count, which is never stricter: so that a client who is refused here costs the store nothing, and
 * while the store is away nobody gains more than what each gateway alone allows.
 */
async function admitEverywhere(
  deps: InvoicerDeps,
  clients: SharedClients,
  { clientKey }: Asker,
  limits: ChallengeConfig,
  place: Place,
): Promise<SharedPlace | undefined> {
  const admission = await clients.admit(clientKey, limits);
  switch (admission.kind) {
    case 'admitted':
      return admission.place;
    case 'away':
      return undefined;
    case 'wait':
      place.giveBack();
      throw tooOften(deps, admission.retryAfterSec);
    case 'full':
      place.giveBack();
      deps.onFailed('outstanding', undefined);
      throw tooManyUnpaid(limits);
  }
}

function tooOften(deps: InvoicerDeps, retryAfterSec: number): GatewayError {
  deps.onFailed('throttled', undefined);
  return new GatewayError(
    'throttled',
    `This address asked for invoices too often. Pay one of them, or try again in ${retryAfterSec} s.`,
    { retryAfterSec },
  );
}

function tooManyUnpaid({ invoiceExpirySec }: ChallengeConfig): GatewayError {
  return new GatewayError(
    'throttled',
    'This address has too many unpaid invoices. Pay one, or wait until they expire.',
    { retryAfterSec: invoiceExpirySec },
  );
}

function busy(): GatewayError {
  return new GatewayError('busy', 'There are too many unpaid invoices at the moment. Try again shortly.', {
    retryAfterSec: NODE_RETRY_SEC,
  });
}

function explain(error: unknown, onFailed: InvoicerDeps['onFailed']): GatewayError {
  const code = error instanceof NodeError ? error.code : 'protocol';
  onFailed(code, error);
  if (code === 'busy') return busy();
  if (code === 'not-ready') return nodeNotReady(error);
  const options = { cause: error, retryAfterSec: NODE_RETRY_SEC };
  if (code === 'wrong-network') {
    return new GatewayError(
      'node-wrong-network',
      `No invoice can be made: the Lightning node is on another network than the operator configured. ${STILL_SERVED}`,
      options,
    );
  }
  return new GatewayError(
    'node-unavailable',
    `No invoice can be made at the moment, because the Lightning node does not answer as it should. ${STILL_SERVED}`,
    options,
  );
}
