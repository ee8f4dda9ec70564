/** What one metric is called, counts and is labelled with. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence, shown by Prometheus and in docs/reference/metrics.md. */
  readonly help: string;
  /** At most two; their values come from closed sets or from the configuration, never from a client. */
  readonly labels: readonly string[];
  /**
   * With several workers: how their gauges become one; absent: added up, as counters and histograms always are. `primary`: what the
   * primary alone knows, or watches for all.
   */
  readonly workers?: 'max' | 'primary';
}

/** Bounds of every latency histogram, seconds: from a store verb in memory to a long upstream. */
export const LATENCY_BUCKETS_SEC: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** Every metric of the gateway's own. createMetrics makes them from this table, and so is the reference page. */
export const METRICS = {
  requests: {
    name: 'sluice_requests_total',
    type: 'counter',
    help: 'Requests on the public listeners, by service and how they ended.',
    labels: ['service', 'outcome'],
  },
  challenges: {
    name: 'sluice_challenges_total',
    type: 'counter',
    help: 'Challenges (402 with an invoice) sent, by service.',
    labels: ['service'],
  },
  invoicesCreated: {
    name: 'sluice_invoices_created_total',
    type: 'counter',
    help: 'Invoices that the node issued and that passed the checks, by service.',
    labels: ['service'],
  },
  invoicesFailed: {
    name: 'sluice_invoices_failed_total',
    type: 'counter',
    help: 'Invoices that could not be had, by reason: a limit of ours or an error of the node.',
    labels: ['reason'],
  },
  redemptions: {
    name: 'sluice_redemptions_total',
    type: 'counter',
    help: 'Payments presented for the first time, by service.',
    labels: ['service'],
  },
  settlements: {
    name: 'sluice_settlements_total',
    type: 'counter',
    help: 'Payments that the node reported, by what became of them: `no-offer` is every payment that was no top-up, `excess` what such a payment brought above its invoice.',
    labels: ['outcome'],
  },
  settlementFeed: {
    name: 'sluice_settlement_feed_connected',
    type: 'gauge',
    help: "Whether the node's feed of settlements stands (1) or top-ups wait to be credited (0).",
    labels: [],
    workers: 'primary',
  },
  settlementLag: {
    name: 'sluice_settlement_lag_seconds',
    type: 'gauge',
    help: 'How long after it was paid the last payment of the feed was looked at, seconds.',
    labels: [],
    workers: 'primary',
  },
  openOffers: {
    name: 'sluice_top_ups_open',
    type: 'gauge',
    help: 'Top-ups asked for and not known to be paid or ended, as of the last look-up at the node.',
    labels: [],
    workers: 'primary',
  },
  storeMismatch: {
    name: 'sluice_store_mismatch',
    type: 'gauge',
    help: 'Whether the store is empty, older or another one than before (1): nothing is sold or charged then. Wake somebody.',
    labels: [],
  },
  undeclaredProxy: {
    name: 'sluice_undeclared_proxy',
    type: 'gauge',
    help: 'Whether a peer that `trustedProxies` does not name sent X-Forwarded-For (1): all its clients share one throttle then.',
    labels: [],
    workers: 'max',
  },
  reconcileDifference: {
    name: 'sluice_reconcile_difference_msat',
    type: 'gauge',
    help: 'Payments of the last three days that the node has and the ledger has not, msat: `missing` should be credited and is not, `unclaimed` was never presented. As of the last reconciliation.',
    labels: ['kind'],
    workers: 'primary',
  },
  reconciledAt: {
    name: 'sluice_reconciled_timestamp_seconds',
    type: 'gauge',
    help: 'When payments were last reconciled with the node, Unix seconds; 0: not yet.',
    labels: [],
    workers: 'primary',
  },
  earned: {
    name: 'sluice_earned_msat_total',
    type: 'counter',
    help: 'Money received, by service: credited to accounts, or paid for a pass, msat.',
    labels: ['service'],
  },
  spent: {
    name: 'sluice_spent_msat_total',
    type: 'counter',
    help: 'Credit that calls and streams used up, by service, before refunds, msat.',
    labels: ['service'],
  },
  refunds: {
    name: 'sluice_refunds_total',
    type: 'counter',
    help: 'Calls whose price went back to the balance, by service.',
    labels: ['service'],
  },
  refunded: {
    name: 'sluice_refunded_msat_total',
    type: 'counter',
    help: 'Credit that went back to the balance because the upstream failed, by service, msat.',
    labels: ['service'],
  },
  chargesGivenUp: {
    name: 'sluice_charges_given_up_total',
    type: 'counter',
    help: 'Refunds and voids that could not be made in the store, so that a client may have paid for nothing: the log names each.',
    labels: [],
  },
  nodeLatency: {
    name: 'sluice_node_request_duration_seconds',
    type: 'histogram',
    help: 'Time of requests to the Lightning node, by verb, seconds.',
    labels: ['verb'],
  },
  nodeErrors: {
    name: 'sluice_node_errors_total',
    type: 'counter',
    help: 'Requests to the Lightning node that failed, by verb and error code.',
    labels: ['verb', 'code'],
  },
  nodeCircuitOpen: {
    name: 'sluice_node_circuit_open',
    type: 'gauge',
    help: 'Whether the node is left alone (1) because it did not answer five times in a row, and tried every few seconds, or asked (0).',
    labels: [],
    workers: 'max',
  },
  storeLatency: {
    name: 'sluice_store_request_duration_seconds',
    type: 'histogram',
    help: 'Time of store verbs, by verb, seconds.',
    labels: ['verb'],
  },
  storeErrors: {
    name: 'sluice_store_errors_total',
    type: 'counter',
    help: 'Store verbs that failed, by verb and error code.',
    labels: ['verb', 'code'],
  },
  upstreamLatency: {
    name: 'sluice_upstream_head_duration_seconds',
    type: 'histogram',
    help: "Time from forwarding a request to the upstream's response head, by service, seconds.",
    labels: ['service'],
  },
  outstandingInvoices: {
    name: 'sluice_invoices_outstanding',
    type: 'gauge',
    help: 'Invoices issued, unpaid as far as known, and not expired.',
    labels: [],
  },
  pooledInvoices: {
    name: 'sluice_invoice_pool_size',
    type: 'gauge',
    help: 'Invoices made ahead and ready to be shown.',
    labels: [],
  },
  poolDraws: {
    name: 'sluice_invoice_pool_draws_total',
    type: 'counter',
    help: 'Challenges of fixed prices that asked the pool for an invoice, by result: `hit`, or `miss` when the node had to be waited for.',
    labels: ['result'],
  },
  poolDropped: {
    name: 'sluice_invoice_pool_dropped_total',
    type: 'counter',
    help: 'Invoices made ahead that nobody was shown, by reason: `aged`, `reload`, `forgotten` by the node, `crowded` out, `closed`.',
    labels: ['reason'],
  },
  nodeInbound: {
    name: 'sluice_node_inbound_msat',
    type: 'gauge',
    help: "What the peers of all open channels of the node hold on their side, msat; NaN when the node can't tell.",
    labels: [],
    workers: 'primary',
  },
  nodeReceivable: {
    name: 'sluice_node_receivable_msat',
    type: 'gauge',
    help: "What the channels that work now can take, msat: no larger payment can arrive. NaN when the node can't tell.",
    labels: [],
    workers: 'primary',
  },
  nodeChannels: {
    name: 'sluice_node_channels',
    type: 'gauge',
    help: 'Open channels of the node, by state (active, inactive).',
    labels: ['state'],
    workers: 'primary',
  },
  nodePeers: {
    name: 'sluice_node_peers',
    type: 'gauge',
    help: "Peers that the node is connected to; NaN when it can't tell.",
    labels: [],
    workers: 'primary',
  },
  nodeBlockHeight: {
    name: 'sluice_node_block_height',
    type: 'gauge',
    help: "Newest block that the node knows; NaN when it can't tell.",
    labels: [],
    workers: 'primary',
  },
  nodeBlockAge: {
    name: 'sluice_node_block_age_seconds',
    type: 'gauge',
    help: "Age of that block, seconds; NaN when the node can't tell.",
    labels: [],
    workers: 'primary',
  },
  nodeSynced: {
    name: 'sluice_node_synced',
    type: 'gauge',
    help: "Whether the node is synced to its chain: 1 or 0; NaN when it can't tell.",
    labels: [],
    workers: 'primary',
  },
  unsellable: {
    name: 'sluice_services_without_inbound',
    type: 'gauge',
    help: 'Services whose price is more than the node can receive.',
    labels: [],
    workers: 'primary',
  },
  connections: {
    name: 'sluice_connections',
    type: 'gauge',
    help: 'Client connections open on the public listeners.',
    labels: [],
  },
  tunnels: {
    name: 'sluice_tunnels',
    type: 'gauge',
    help: 'WebSocket tunnels open.',
    labels: [],
  },
  streamsLive: {
    name: 'sluice_streams',
    type: 'gauge',
    help: 'Metered requests and streams under way, by service.',
    labels: ['service'],
  },
  streamsOpened: {
    name: 'sluice_streams_opened_total',
    type: 'counter',
    help: 'Metered requests and streams that were let through, by service.',
    labels: ['service'],
  },
  streamedUnits: {
    name: 'sluice_streamed_units_total',
    type: 'counter',
    help: 'What metered streams delivered and were billed for, by service and unit: seconds, bytes, events, or the units that the upstream reported.',
    labels: ['service', 'unit'],
  },
  streamedMsat: {
    name: 'sluice_streamed_msat_total',
    type: 'counter',
    help: 'Credit that metered streams used up, by service, msat. Part of `sluice_spent_msat_total`.',
    labels: ['service'],
  },
  streamHolds: {
    name: 'sluice_stream_holds_total',
    type: 'counter',
    help: 'Streams that ran out of credit and were held, by service.',
    labels: ['service'],
  },
  streamCuts: {
    name: 'sluice_stream_cuts_total',
    type: 'counter',
    help: 'Streams that the gateway ended, by service and reason.',
    labels: ['service', 'reason'],
  },
  usageReports: {
    name: 'sluice_usage_reports_total',
    type: 'counter',
    help: 'Answers charged by what the upstream reports, by service and where the number came from: `capped` was absurd, `estimated` was missing.',
    labels: ['service', 'source'],
  },
  cacheLookups: {
    name: 'sluice_credential_cache_lookups_total',
    type: 'counter',
    help: 'Look-ups in the cache of verified credentials, by result (hit, miss).',
    labels: ['result'],
  },
  cacheEntries: {
    name: 'sluice_credential_cache_entries',
    type: 'gauge',
    help: 'Verified credentials kept.',
    labels: [],
  },
  cacheBytes: {
    name: 'sluice_credential_cache_bytes',
    type: 'gauge',
    help: 'Size of the verified credentials kept, bytes.',
    labels: [],
  },
  busMessages: {
    name: 'sluice_bus_messages_total',
    type: 'counter',
    help: 'Messages between the gateways on one Redis, by result: `sent`, `lost` (Redis was away), `heard`, `ignored` (not of a gateway), and `missed`, each time that this gateway begins to hear and asks the store for what it did not. Each gateway counts its own.',
    labels: ['result'],
  },
  busUp: {
    name: 'sluice_bus_up',
    type: 'gauge',
    help: 'Processes of this gateway that hear the other gateways on their Redis. 0 with another store, and while Redis is away: then it asks the store.',
    labels: [],
  },
  configReloads: {
    name: 'sluice_config_reloads_total',
    type: 'counter',
    help: 'Configuration reloads, by result (ok, failed). A failed one keeps the old configuration.',
    labels: ['result'],
  },
  workers: {
    name: 'sluice_workers',
    type: 'gauge',
    help: 'Worker processes that serve clients now; 0 when one process does everything (`workers: 1`).',
    labels: [],
    workers: 'primary',
  },
  workerExits: {
    name: 'sluice_worker_exits_total',
    type: 'counter',
    help: 'Worker processes that ended, by how: `drained` because they were told to, `died` by themselves, `hung` killed because nothing was heard of them.',
    labels: ['how'],
  },
  ready: {
    name: 'sluice_ready',
    type: 'gauge',
    help: 'Whether a part that /readyz checks is up: 1 or 0.',
    labels: ['part'],
    workers: 'primary',
  },
  buildInfo: {
    name: 'sluice_build_info',
    type: 'gauge',
    help: 'Always 1; the labels say which version runs on which Node.',
    labels: ['version', 'node'],
    workers: 'primary',
  },
} as const satisfies Record<string, MetricDefinition>;
