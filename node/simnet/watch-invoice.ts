import type { SimnetInvoice, SimnetWallet } from './types.ts';

/** An open invoice expires by the clock, which wakes nobody: it is looked at so often, ms. */
const LOOK_EVERY_MS = 1_000;

/**
 * An invoice of a wallet as it is now, and again after each change of its state, up to the last or until `signal` aborts. One that
 * does not exist is waited for, as LND does.
 */
export async function* watchInvoice(
  wallet: SimnetWallet,
  paymentHash: string,
  signal: AbortSignal,
): AsyncGenerator<SimnetInvoice> {
  let wake = Promise.withResolvers<void>();
  const ring = () => wake.resolve();
  const unlisten = wallet.listen(ring);
  const timer = setInterval(ring, LOOK_EVERY_MS);
  timer.unref();
  signal.addEventListener('abort', ring, { once: true });
  let shown: SimnetInvoice['state'] | undefined;
  try {
    while (!signal.aborted) {
      wake = Promise.withResolvers<void>();
      const invoice = wallet.invoice(paymentHash);
      if (invoice !== undefined && invoice.state !== shown) {
        shown = invoice.state;
        yield invoice;
      }
      if (shown === 'settled' || shown === 'cancelled' || shown === 'expired') return;
      await wake.promise;
    }
  } finally {
    unlisten();
    clearInterval(timer);
    signal.removeEventListener('abort', ring);
  }
}
