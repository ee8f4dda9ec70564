import type { ChallengeConfig } from '../../config/config.ts';
import { checkInvoice } from '../../node/bolt11.ts';
import type { Msat } from '../../node/msat.ts';
import {
  type Invoice,
  type LightningNode,
  NodeError,
  type NodeErrorCode,
  type NodeInfo,
} from '../../node/node.ts';
import { GatewayError } from '../errors.ts';
import { createConcurrencyGate } from './concurrency.ts';
import type { Asker, Outstanding, Place } from './outstanding.ts';
import type { Throttle } from './throttle.ts';

/** What an invoice is asked for. */
export interface InvoiceOrder {
  readonly asker: Asker;
  readonly amountMsat: Msat;
  readonly memo: string;
}

/** Makes the invoices of challenges: bounded, and checked before anybody sees one. */
export interface Invoicer {
  /**
   * @throws GatewayError `throttled` (this client asked too often), `busy` (too many unpaid invoices in all),
   *   `node-unavailable` (the node is down, slow, or returned an invoice that is not what was asked).
   */
  createInvoice(order: InvoiceOrder): Promise<Invoice>;
  /** A payment was presented: its place is free again. */
  paid(paymentHash: string): void;
  /** Invoices issued and neither paid nor expired. */
  outstanding(): number;
}

/** What an {@link Invoicer} needs. */
export interface InvoicerDeps {
  readonly node: LightningNode;
  /** Who the node is, from its own mouth: invoices must be signed by its key, for its network. */
  readonly nodeInfo: (signal: AbortSignal) => Promise<NodeInfo>;
  readonly limits: () => ChallengeConfig;
  readonly throttle: Throttle;
  readonly outstanding: Outstanding;
  readonly nowMs: () => number;
  /** Called for each invoice that was not made, with why. */
  readonly onFailed: (reason: NodeErrorCode | 'throttled' | 'outstanding', error: unknown) => void;
}

/** Seconds that a client is told to wait when the node does not answer. */
const NODE_RETRY_SEC = 5;

/** Throttle, then the caps, then the node, then the check of what it returned. */
export function createInvoicer(deps: InvoicerDeps): Invoicer {
  const gate = createConcurrencyGate();

  const askNode = async (
    order: InvoiceOrder,
    limits: ChallengeConfig,
    signal: AbortSignal,
  ): Promise<Invoice> => {
    if (signal.aborted) throw new NodeError('timeout', 'the requests before this one took the node too long');
    const info = await deps.nodeInfo(signal);
    const invoice = await deps.node.createInvoice(
      { amountMsat: order.amountMsat, memo: order.memo, expirySec: limits.invoiceExpirySec },
      { signal },
    );
    checkInvoice(invoice, {
      amountMsat: order.amountMsat,
      network: info.network,
      payee: info.publicKey,
      // The token is minted to outlive its invoice by what was sold; one that lives longer could be paid in vain.
      maxExpirySec: limits.invoiceExpirySec,
      nowSec: Math.floor(deps.nowMs() / 1000),
    });
    return invoice;
  };

  return {
    async createInvoice(order) {
      const limits = deps.limits();
      const place = admit(deps, order.asker, limits);
      // From here on, not from the node's turn: a node that hangs must not keep a whole queue waiting one by one.
      const signal = AbortSignal.timeout(limits.nodeTimeoutMs);
      try {
        const invoice = await gate.run(limits.nodeConcurrency, () => askNode(order, limits, signal));
        if (invoice === 'full') throw new NodeError('busy', 'too many requests wait for the node');
        place.hold(invoice.paymentHash, invoice.expiresAtSec);
        return invoice;
      } catch (error) {
        place.giveBack();
        throw explain(error, deps.onFailed);
      }
    },
    paid: (paymentHash) => deps.outstanding.paid(paymentHash),
    outstanding: () => deps.outstanding.count(),
  };
}

function admit(deps: InvoicerDeps, asker: Asker, limits: ChallengeConfig): Place {
  const verdict = deps.throttle.take(asker.clientKey, limits);
  if (verdict.kind === 'wait') {
    deps.onFailed('throttled', undefined);
    throw new GatewayError(
      'throttled',
      `This address asked for invoices too often. Pay one of them, or try again in ${verdict.retryAfterSec} s.`,
      { retryAfterSec: verdict.retryAfterSec },
    );
  }
  const admission = deps.outstanding.admit(asker, limits);
  if (admission.kind === 'admitted') return admission.place;
  deps.onFailed('outstanding', undefined);
  if (admission.kind === 'full-for-client') {
    throw new GatewayError(
      'throttled',
      'This address has too many unpaid invoices. Pay one, or wait until they expire.',
      {
        retryAfterSec: limits.invoiceExpirySec,
      },
    );
  }
  throw busy();
}

function busy(): GatewayError {
  return new GatewayError('busy', 'There are too many unpaid invoices at the moment. Try again shortly.', {
    retryAfterSec: NODE_RETRY_SEC,
  });
}

function explain(error: unknown, onFailed: InvoicerDeps['onFailed']): GatewayError {
  onFailed(error instanceof NodeError ? error.code : 'protocol', error);
  if (error instanceof NodeError && error.code === 'busy') return busy();
  return new GatewayError(
    'node-unavailable',
    'No invoice can be made at the moment, because the Lightning node does not answer as it should. Credentials already paid go on working.',
    { cause: error, retryAfterSec: NODE_RETRY_SEC },
  );
}
