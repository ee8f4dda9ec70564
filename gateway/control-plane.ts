import type { Config } from '../config/config.ts';
import type { LightningNode } from '../node/node.ts';
import { type AdminListener, listenAdmin } from './admin/listen.ts';
import type { Foundation } from './foundation.ts';
import type { Health } from './observe/health.ts';
import { formatPrice } from './pricing/format-price.ts';
import type { BoundAddress } from './server.ts';
import { VERSION } from './version.ts';

/** What is done once, however many processes serve: crediting what the node reports, reconciling, and answering the operator. */
export interface ControlPlane {
  /** Opens the admin listener. @throws Error when the address can't be had */
  listen(admin: AdminParts): Promise<BoundAddress>;
  close(): Promise<void>;
}

/** What the admin listener needs beside the foundation. */
export interface AdminParts {
  readonly where: Config['admin'];
  readonly token: string;
  /** The node as the operator sees it. */
  readonly node: LightningNode;
  readonly health: Health;
}

/** Starts to consume the node's settlements and to reconcile. */
export function startControlPlane(foundation: Foundation): ControlPlane {
  const { catalog, ledger, accounts, log, metrics, nowMs } = foundation;
  const feed = accounts.startFeed(foundation);
  const reconciler = accounts.startReconciler({ ...foundation, catalog: catalog.get });
  let listener: AdminListener | undefined;
  return {
    async listen({ where, token, node, health }) {
      listener = await listenAdmin(where, {
        config: () => catalog.get().config,
        // The ledger, not the bare store: what it revokes it knows at once.
        store: ledger,
        node,
        health,
        metrics,
        log,
        nowMs,
        formatPrice,
        token,
        version: VERSION,
      });
      return listener.address;
    },
    async close() {
      await listener?.close();
      await reconciler.close();
      await feed.close();
    },
  };
}
