import type { Msat } from '../node/msat.ts';
import type { LightningNode, NodeInfo } from '../node/node.ts';
import type { Accounts } from './assemble-accounts.ts';
import { accountEventOf, assembleMeters } from './assemble-meters.ts';
import type { Catalog } from './catalog.ts';
import type { GatewayError } from './errors.ts';
import { listedOrders } from './flow/challenge-order.ts';
import { createInvoicer, type Invoicer } from './flow/create-invoice.ts';
import { createHeldBodies, heldBodyLimits } from './flow/held-bodies.ts';
import type { FlowDeps } from './flow/index.ts';
import { createKeyring } from './flow/keys.ts';
import { createLiveResponses } from './flow/live.ts';
import { createOutstanding } from './flow/outstanding.ts';
import type { SharedClients } from './flow/shared-clients.ts';
import type { Throttle, ThrottleName } from './flow/throttle.ts';
import { createUnsettled } from './flow/unsettled.ts';
import { createCredentialVerifier, type Grant } from './flow/verify-credential.ts';
import type { Ledger } from './ledger/ledger.ts';
import { SPEND_KEY_TTL_SEC } from './ledger/store.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { createUpstreams } from './proxy/upstream.ts';
import { createTunnel } from './proxy/websocket.ts';
import { invoiceTag, tagMemo } from './settlements/invoice-tag.ts';

/** A verb is repeated until this long before the store forgets its key: the last try may take its time. */
const RETRY_MARGIN_MS = 60_000;

/** What the flow is put together from. */
export interface FlowParts {
  readonly node: LightningNode;
  readonly ledger: Ledger;
  readonly sharedClients?: SharedClients | undefined;
  readonly accounts: Pick<Accounts, 'events' | 'sessions' | 'countedPayments' | 'onCredited' | 'redeemed'>;
  /** 32 bytes each, newest first. */
  readonly masterKeys: readonly Buffer[];
  readonly catalog: () => Catalog;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly throttle: (name: ThrottleName) => Throttle;
  /** The drain was waited for in vain, and what is still under way is being cut. */
  readonly isCutting: () => boolean;
  /** Why an invoice of this amount could not be paid now; undefined when nothing is known that speaks against it. */
  readonly refusal: (amountMsat: Msat) => GatewayError | undefined;
}

/** The flow's dependencies, and what must be told of reloads and the end. */
export interface Assembly {
  readonly deps: FlowDeps;
  /** @param origins - of all upstreams that are still configured */
  reload(origins: ReadonlySet<string>): void;
  close(): Promise<void>;
}

/** Builds every part of the flow once, and ties it to the metrics and the log. */
export function assembleFlow(parts: FlowParts): Assembly {
  const { node, ledger, accounts, catalog, log, metrics, nowMs } = parts;
  const nowSec = (): number => Math.floor(nowMs() / 1000);
  const keys = createKeyring(parts.masterKeys, ledger.generation);
  const verifier = createCredentialVerifier({
    keys,
    isRevoked: (accountId) => ledger.isRevoked(accountId),
    nowSec,
    throttle: parts.throttle('credentials'),
    maxCacheBytes: catalog().config.limits.credentialCacheBytes,
    onLookup: (result) => metrics.credentialCache(result),
  });
  const invoicer = openInvoicer(parts, nowSec);
  const unsettled = createUnsettled({
    nowMs,
    keepMs: SPEND_KEY_TTL_SEC * 1000 - RETRY_MARGIN_MS,
    onGivenUp: (error) => {
      metrics.chargeGivenUp();
      log.error('a charge could not be ended in the store and was given up', { err: error });
    },
  });
  const live = createLiveResponses({ nowSec, isRevoked: (accountId) => ledger.isRevoked(accountId) });
  const meters = assembleMeters({ ledger, accounts, unsettled, log, metrics });
  const upstreams = createUpstreams();
  metrics.readFrom({
    outstandingInvoices: () => invoicer.outstanding(),
    pooledInvoices: () => invoicer.pool.count(),
    tunnels: () => live.tunnels(),
    credentialCache: () => verifier.cacheSize(),
  });
  return {
    deps: {
      ledger,
      verifier,
      keys,
      node,
      invoicer,
      bodies: createHeldBodies(heldBodyLimits(catalog().config.workers)),
      isCutting: parts.isCutting,
      unsettled,
      live,
      meters,
      sessions: accounts.sessions,
      upstreams,
      tunnel: createTunnel(),
      nowMs,
      onRedeemed: ({ grant }) => {
        const { paymentHash, minted } = grant;
        metrics.redemption(minted.service);
        if (!accounts.countedPayments.has(paymentHash)) metrics.earned(minted.service, earnedMsat(grant));
        accounts.redeemed({ paymentHash, accountId: minted.accountId });
      },
      onNotice(accountId, notice) {
        const event = accountEventOf(notice);
        if (event !== undefined) accounts.events.publish(accountId, event);
      },
      onUsage(service, { source, units }) {
        metrics.usageReport(service, source);
        metrics.streamEnded(service, 'unit', units);
      },
      onBalance: (accountId) => accounts.events.touch(accountId),
      onInvoice: (service) => metrics.invoiceCreated(service.name),
      onUpstreamHead: (service, ms) => metrics.upstreamHead(service.name, ms),
    },
    reload(origins) {
      upstreams.retain(origins);
      invoicer.pool.retain(listedOrders(catalog().config, node.capabilities));
    },
    close: async () => {
      await Promise.all([meters.close(), invoicer.pool.close()]);
      await unsettled.retry();
      unsettled.close();
      live.close();
      await upstreams.destroy();
    },
  };
}

function openInvoicer(parts: FlowParts, nowSec: () => number): Invoicer {
  const { node, ledger, catalog, metrics, log, nowMs, refusal } = parts;
  const identity = rememberedInfo(node);
  const tag = invoiceTag(ledger.generation);
  return createInvoicer({
    node,
    nodeInfo: identity.ask,
    tagMemo: (memo) => tagMemo(memo, tag),
    limits: () => catalog().config.challenge,
    throttle: parts.throttle('challenges'),
    outstanding: createOutstanding(nowSec),
    sharedClients: parts.sharedClients,
    nowMs,
    refusal,
    onDraw: metrics.poolDraw,
    onDropped: metrics.poolDropped,
    onFailed: (reason, error) => {
      // Perhaps there is another node at the same address by now: the next invoice asks who it is.
      if (reason === 'bad-invoice') identity.forget();
      metrics.invoiceFailed(reason);
      if (error !== undefined) log.warn(`no invoice could be made: ${reason}`, { err: error });
    },
  });
}

/** A node's identity hardly ever changes: it is asked until it answers once, and again when its invoices are not its own. */
function rememberedInfo(node: LightningNode): {
  ask: (signal: AbortSignal) => Promise<NodeInfo>;
  forget: () => void;
} {
  let known: Promise<NodeInfo> | undefined;
  return {
    ask: (signal) => {
      known ??= node.info({ signal }).catch((error: unknown) => {
        known = undefined;
        throw error;
      });
      return known;
    },
    forget: () => {
      known = undefined;
    },
  };
}

/** What a payment brought in, msat: its credit, or the price of a pass, which credits nothing. */
function earnedMsat({ minted, price }: Grant): Msat {
  return price.kind === 'pass' ? price.amountMsat : minted.creditMsat;
}
