import type { Invoice, LightningNode } from '../../node/node.ts';

/** Cancels invoices that nobody has seen, where the node can. They would expire by themselves; this keeps the node tidy. */
export interface Withdrawals {
  add(invoices: readonly Invoice[]): void;
  /** The next one that waits. */
  take(): Invoice | undefined;
  cancel(invoice: Invoice, signal: AbortSignal): Promise<void>;
  /** Cancels all that wait, several at once, until the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
}

/** More than these are left to expire. */
const MAX_WAITING = 2_000;
const AT_ONCE = 8;

/** A bounded queue of invoices to cancel. */
export function createWithdrawals(node: Pick<LightningNode, 'capabilities' | 'cancelInvoice'>): Withdrawals {
  const waiting: Invoice[] = [];
  const cancel = async ({ paymentHash }: Invoice, signal: AbortSignal): Promise<void> => {
    // Not tried again: it expires in minutes.
    await node.cancelInvoice(paymentHash, { signal }).catch(() => {});
  };
  return {
    add(invoices) {
      if (!node.capabilities.cancel) return;
      waiting.push(...invoices.slice(0, MAX_WAITING - waiting.length));
    },
    take: () => waiting.shift(),
    cancel,
    async drain(signal) {
      const worker = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
          await cancel(next, signal);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    },
  };
}
