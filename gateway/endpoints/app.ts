import express, { type Express, type Request, type Router } from 'express';
import helmet from 'helmet';
import type { InvoiceState } from '../../node/node.ts';
import type { Log } from '../observe/log.ts';
import { answerErrors, answerUnknown } from './answer.ts';
import { allowOrigins } from './cors.ts';
import { invoicesRouter } from './invoices.ts';
import { createInvoiceWatcher } from './watch-invoice.ts';

/** Everything under this prefix is answered here and never forwarded. */
export const ENDPOINTS_PREFIX = '/.l402';

/** What the helper endpoints work with. */
export interface EndpointsDeps {
  /** The payment hash of a macaroon that this gateway signed and whose caveats hold; undefined for any other text. */
  readonly verifyMacaroon: (text: string, client: string) => { readonly paymentHash: string } | undefined;
  /** Asks the node; `undefined` when it does not know the hash. */
  readonly lookupInvoice: (paymentHash: string) => Promise<InvoiceState | undefined>;
  /** Counts a look-up of this client: undefined, or after how many seconds it may ask again. Absent: nobody is counted. */
  readonly throttled?: (client: string) => number | undefined;
  /** Calls the listener with each payment hash that the node's feed reports; returns how to stop. */
  readonly onSettled?: (listener: (paymentHash: string) => void) => () => void;
  /** The client's address as the gateway sees it (trusted proxies considered); absent: the connection's. */
  readonly clientAddress?: (request: Request) => string;
  /** As configured now. */
  readonly corsOrigins: () => readonly string[];
  readonly log: Log;
  /** The other endpoints below the prefix. */
  readonly routers?: readonly Router[];
  readonly maxWaiters?: number;
  readonly maxWaitersPerClient?: number;
}

/** The helper endpoints as an Express app, and how to end the waits in it. */
export interface Endpoints {
  readonly app: Express;
  /** Answers everybody who waits, so that a drain is not held up. */
  close(): void;
}

/** Makes the public helper endpoints. Each stands in a file of its own beside this one, as a router below the prefix. */
export function createEndpoints(deps: EndpointsDeps): Endpoints {
  const watcher = createInvoiceWatcher(deps);
  const unsubscribe = deps.onSettled?.((paymentHash) => watcher.wake(paymentHash));
  const throttled = deps.throttled ?? (() => undefined);
  const clientAddress = deps.clientAddress ?? ((request) => request.socket.remoteAddress ?? '');

  const app = express();
  app.disable('etag');
  app.set('case sensitive routing', true);
  app.set('query parser', 'simple');
  // The gateway's own listener decides on HSTS; a page of another origin may read these answers (CORS above all else).
  app.use(helmet({ strictTransportSecurity: false, crossOriginResourcePolicy: { policy: 'cross-origin' } }));
  app.use(allowOrigins(deps.corsOrigins));
  app.use(
    ENDPOINTS_PREFIX,
    invoicesRouter({ verifyMacaroon: deps.verifyMacaroon, watcher, throttled, clientAddress }),
  );
  for (const router of deps.routers ?? []) app.use(ENDPOINTS_PREFIX, router);
  app.use(answerUnknown);
  app.use(answerErrors(deps.log));
  return {
    app,
    close: () => {
      unsubscribe?.();
      watcher.close();
    },
  };
}
