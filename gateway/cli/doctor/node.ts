import { existsSync } from 'node:fs';
import path from 'node:path';
import { Agent, request } from 'undici';
import type { Config } from '../../../config/config.ts';
import { hasNativeSecp256k1 } from '../../../node/bolt11.ts';
import { createConnector } from '../../../node/connect.ts';
import { waysToLnd } from '../../../node/index.ts';
import { BAKE_LINE } from '../../../node/lnd/macaroon-rights.ts';
import { formatMsat, type Msat, maxMsat, ZERO_MSAT } from '../../../node/msat.ts';
import { type LightningNode, type Liquidity, NodeError, type NodeInfo } from '../../../node/node.ts';
import { quotePrice } from '../../flow/quote-price.ts';
import { openNodeBeside } from '../open-beside.ts';
import { describeSeconds } from './describe-seconds.ts';
import { type Diagnosis, reasonOf, scribe } from './diagnosis.ts';
import { checkGrpc } from './grpc.ts';
import { diagnoseFailure } from './node-failure.ts';
import { checkNodeFiles } from './node-files.ts';
import { readDate, type SeenClock } from './upstreams.ts';

/** What looking at the node gave. */
export interface NodeFindings {
  readonly found: readonly Diagnosis[];
  readonly clock: SeenClock | undefined;
}

const TIMEOUT_MS = 10_000;
const CLOCK_TIMEOUT_MS = 5_000;
/** No block for so long is rare (one time in 160,000 by chance) on the main network, seconds. */
const OLD_BLOCK_SEC = 2 * 3600;
/** Fewer sales than this, and the channels are full, msat for msat. */
const FEW_SALES = 10;

/** The Lightning node: keys and files, then the node itself, then what it can receive. */
export async function checkNode(config: Config, nowMs: () => number): Promise<NodeFindings> {
  const { node } = config;
  const found: Diagnosis[] = [];
  if (!hasNativeSecp256k1()) {
    found.push(
      scribe('secp256k1').warning(
        'the native secp256k1 is missing: checking an invoice takes ten times as long',
        'install a compiler and run `npm rebuild secp256k1`',
      ),
    );
  } else found.push(scribe('secp256k1').ok('native'));
  const files = checkNodeFiles(node, nowMs);
  found.push(...files.found);
  if (
    node.type === 'simulated' &&
    node.url === undefined &&
    !existsSync(path.join(config.dataDir, 'simnet.sqlite'))
  ) {
    found.push(scribe('node').ok('the simulated network (play money) will be made at the first start'));
    return { found, clock: undefined };
  }
  if (files.broken === 'certificate') return { found: [...found, ...skipAll(config)], clock: undefined };
  const [asked, grpc] = await Promise.all([
    files.broken === undefined ? askNode(config) : [scribe('node').skipped(notAskedBefore(files.broken))],
    checkGrpc(node),
  ]);
  found.push(...asked, ...grpc);
  return { found, clock: await readClock(config, nowMs) };
}

/** What a file that is broken stands in the way of: that file has a finding of its own, which says what to do. */
function* skipAll({ node }: Config): Generator<Diagnosis> {
  yield scribe('node').skipped(notAskedBefore('certificate'));
  if (node.type === 'lnd' && node.grpcUrl !== undefined) {
    yield scribe('gRPC').skipped(notAskedBefore('certificate'));
  }
}

function notAskedBefore(broken: 'certificate' | 'macaroon'): string {
  return `not asked before the ${broken} is mended`;
}

async function askNode(config: Config): Promise<readonly Diagnosis[]> {
  const say = scribe('node');
  try {
    const opened = await openNodeBeside(withoutGrpc(config));
    try {
      const info = await opened.node.info({ signal: AbortSignal.timeout(TIMEOUT_MS) });
      return [...judgeInfo(config, info), ...(await checkReceivable(config, opened.node, info))];
    } finally {
      await opened.close();
    }
  } catch (error) {
    return [diagnoseFailure(say, error)];
  }
}

/** A node whose gRPC address is away can still be asked everything but for invoices: `checkGrpc` looks at that address. */
function withoutGrpc(config: Config): Config {
  if (config.node.type !== 'lnd') return config;
  const { grpcUrl: _, ...node } = config.node;
  return { ...config, node };
}

function* judgeInfo({ node }: Config, info: NodeInfo): Generator<Diagnosis> {
  const say = scribe('node');
  const kind = node.type === 'simulated' ? 'play money, ' : '';
  const name = `${info.alias || info.publicKey.slice(0, 16)} (${kind}${info.network})`;
  if (!info.synced) {
    yield say.problem(
      `${name} answers, and is not synced to its chain yet (block ${info.blockHeight})`,
      'wait until `lncli getinfo` says synced_to_chain: nothing can be sold until then',
    );
    return;
  }
  // A macaroon without info:read leaves the height out.
  yield info.blockHeight === 0
    ? say.ok(`${name} answers; whether it is synced, this macaroon may not ask`)
    : say.ok(`${name} answers and is synced, block ${info.blockHeight}`);
  if (node.type === 'lnd' && node.network === undefined && info.network === 'mainnet') {
    yield say.ok('`node.network: mainnet` in the configuration would refuse any other node at that address');
  }
}

async function checkReceivable(
  config: Config,
  node: LightningNode,
  { network }: NodeInfo,
): Promise<readonly Diagnosis[]> {
  const say = scribe('inbound');
  if (node.receivable === undefined)
    return [say.ok('this kind of node does not tell how much it can receive')];
  let seen: Liquidity;
  try {
    seen = await node.receivable({ signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const remedy =
      error instanceof NodeError && error.code === 'unauthorized'
        ? `let the macaroon read channels: ${BAKE_LINE}`
        : 'try again';
    return [
      say.warning(`how much can be received is not known: ${reasonOf(error).replace(/\.$/, '')}`, remedy),
    ];
  }
  return [...judgeChannels(seen, network === 'mainnet'), judgeAmount(config, node, seen)];
}

function* judgeChannels(seen: Liquidity, onMainnet: boolean): Generator<Diagnosis> {
  const say = scribe('channels');
  const { activeChannels, inactiveChannels, blockAgeSec } = seen;
  if (inactiveChannels > 0) {
    yield say.warning(
      `${inactiveChannels} of ${activeChannels + inactiveChannels} channels wait for their peer, and receive nothing`,
      'look with `lncli listchannels --inactive_only`, and reconnect with `lncli connect`',
    );
  }
  if (onMainnet && blockAgeSec > OLD_BLOCK_SEC) {
    yield say.warning(
      `the newest block that the node knows is ${describeSeconds(blockAgeSec)} old`,
      'look whether its chain backend (bitcoind, btcd, neutrino) is connected',
    );
  }
}

function judgeAmount(config: Config, node: LightningNode, seen: Liquidity): Diagnosis {
  const say = scribe('inbound');
  const { largestReceivableMsat, activeChannels } = seen;
  const remedy =
    'get inbound liquidity: buy a channel (LSP, Lightning Pool, Magma), swap out what you hold (Loop, Boltz), or ask a peer to open one';
  if (activeChannels === 0) return say.problem('there is no active channel: no invoice can be paid', remedy);
  const dearest = dearestInvoice(config, node);
  const has = `at most ${formatMsat(largestReceivableMsat)} can be received`;
  if (largestReceivableMsat < dearest.amountMsat) {
    return say.problem(
      `${has}, and ${dearest.service} asks for ${formatMsat(dearest.amountMsat)}: its invoices can not be paid`,
      remedy,
    );
  }
  if (largestReceivableMsat < dearest.amountMsat * FEW_SALES) {
    return say.warning(
      `${has}: fewer than ${FEW_SALES} sales of ${dearest.service}, then the channels are full`,
      remedy,
    );
  }
  return say.ok(`${has}, over ${activeChannels} active channel${activeChannels === 1 ? '' : 's'}`);
}

/** The dearest thing on sale, as a challenge would ask for it. */
function dearestInvoice(
  config: Config,
  node: LightningNode,
): { readonly amountMsat: Msat; readonly service: string } {
  let dearest = { amountMsat: ZERO_MSAT, service: 'nothing' };
  for (const service of config.services) {
    if (service.price.kind === 'free') continue;
    const { invoiceMsat } = quotePrice(config, service, node.capabilities, 0);
    if (maxMsat(invoiceMsat, dearest.amountMsat) > dearest.amountMsat) {
      dearest = { amountMsat: invoiceMsat, service: service.name };
    }
  }
  return dearest;
}

/** The node's clock, from the Date of any answer. No credential is sent: what the address answers does not matter. */
async function readClock({ node }: Config, nowMs: () => number): Promise<SeenClock | undefined> {
  if (node.url === undefined) return undefined;
  let dispatcher: Agent | undefined;
  try {
    // The same way as the gateway's: a node behind Tor must not be asked for past it.
    const ways = { ...(node.type === 'lnd' ? waysToLnd(node) : {}), timeoutMs: CLOCK_TIMEOUT_MS };
    dispatcher = new Agent({ connect: createConnector(ways, new URL(node.url).hostname) });
    const { headers, body } = await request(node.url, {
      dispatcher,
      signal: AbortSignal.timeout(CLOCK_TIMEOUT_MS),
    });
    await body.dump();
    return readDate(headers['date'], 'the Lightning node', nowMs());
  } catch {
    return undefined;
  } finally {
    await dispatcher?.destroy();
  }
}
