import path from 'node:path';
import type { Config, ServiceConfig } from '../config/config.ts';
import type { Flags } from '../config/flags.ts';
import type { LoadedConfig } from '../config/load.ts';
import { ADMIN_TOKEN_FILE } from './admin/token.ts';
import type { Gateway } from './gateway.ts';
import { nameStore } from './ledger/name-store.ts';
import { describePrice } from './pricing/describe-price.ts';
import type { MeteredUnit } from './pricing/price.ts';
import { VERSION } from './version.ts';

/** What the banner tells of. */
export interface Banner {
  readonly options: { readonly flags: Flags; readonly cwd: string };
  readonly loaded: LoadedConfig;
  readonly gateway: Gateway;
  /** LND REST of the simulated network. */
  readonly surfaceUrl: string | undefined;
}

/** What a person reads after the gateway has started: where things are, what is sold, and what to type next. */
export function writeBanner(banner: Banner): string {
  const { loaded, gateway, surfaceUrl } = banner;
  const { config } = loaded;
  const url = gateway.addresses[0]?.url ?? '';
  const rows = [
    ...gateway.addresses.map((address) => ['gateway', address.url] as const),
    [
      'admin',
      `${gateway.adminAddress.url}   token in ${
        config.adminToken === undefined ? path.join(shownDataDir(banner), ADMIN_TOKEN_FILE) : 'adminToken'
      }`,
    ] as const,
    ...(config.workers === 1 ? [] : [['workers', `${config.workers} processes`] as const]),
    ['node', describeNode(config, surfaceUrl)] as const,
    ['store', nameStore(config.store)] as const,
  ];
  const lines = [
    `Sluice ${VERSION}${config.node.type === 'simulated' ? '   PLAY MONEY: payments go over a simulated Lightning network' : ''}`,
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(9)} ${value}`),
    '',
    ...config.services.map(
      (service) =>
        `  ${methodsOf(service)}${service.host ?? ''}${service.path}`.padEnd(28) +
        describePrice(service.price),
    ),
    '',
    ...nextSteps(banner, url),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

function methodsOf({ methods }: ServiceConfig): string {
  return methods === undefined ? '' : `${methods.join(',')} `;
}

function describeNode({ node }: Config, surfaceUrl: string | undefined): string {
  if (node.type === 'lnd') return `LND at ${node.url}`;
  if (node.url !== undefined) return `simulated, at ${node.url}`;
  return surfaceUrl === undefined ? 'simulated' : `simulated; speaks LND's REST at ${surfaceUrl}`;
}

function nextSteps(banner: Banner, url: string): string[] {
  const { config, source } = banner.loaded;
  if (config.node.type !== 'simulated') return [];
  const path = examplePath(config.services);
  const data = walletFolder(banner);
  const steps = ['Try it in another terminal, in this folder:'];
  if (path !== undefined) {
    steps.push(
      `  npx sluice fetch ${url}${path}${data}`,
      `  curl -i ${url}${path}          # the 402 itself: invoice, macaroon, what to do`,
    );
  }
  const stream = exampleOf(config.services, 'second');
  if (stream !== undefined)
    steps.push(`  npx sluice stream ${url}${stream}${data}          # paid by the second, until Ctrl-C`);
  if (source.kind === 'demo') steps.push(`  ${url}/free/live.html          # the same in a browser`);
  steps.push(`  npx sluice wallet balance${data}`);
  if (source.kind === 'file') return steps;
  if (source.kind === 'flags') return [...steps, 'Keep it in a file:', '  npx sluice init'];
  return [
    ...steps,
    'Sell an API of your own, then keep it in a file:',
    '  npm start -- --upstream http://127.0.0.1:3000 --price "10 sat"',
    '  npx sluice init',
  ];
}

/** Where `sluice` finds the wallet that pays here: another program's network has left it in a folder that is not known here. */
function walletFolder(banner: Banner): string {
  const { node } = banner.loaded.config;
  if (node.type === 'simulated' && node.url !== undefined) return ' --data FOLDER-OF-THE-NETWORK';
  const { cwd } = banner.options;
  const usual = path.join(cwd, '.sluice');
  return banner.loaded.config.dataDir === usual ? '' : ` --data ${shellWord(shownDataDir(banner))}`;
}

/** A path that the first paid service surely answers: its pattern, with the rest filled in. */
function examplePath(services: readonly ServiceConfig[]): string | undefined {
  const paid = services.find(({ price, host }) => price.kind !== 'free' && host === undefined);
  return paid && withoutStar(paid);
}

function withoutStar({ path: pattern }: ServiceConfig): string {
  return pattern.replace(/\*$/, '');
}

/** The path of the first service that is charged by this unit. */
function exampleOf(services: readonly ServiceConfig[], unit: MeteredUnit): string | undefined {
  const metered = services.find(
    ({ price, host }) => price.kind === 'metered' && price.unit === unit && host === undefined,
  );
  return metered && withoutStar(metered);
}

function shownDataDir({ options, loaded }: Banner): string {
  const relative = path.relative(options.cwd, loaded.config.dataDir);
  return relative === '' || relative.startsWith('..') ? loaded.config.dataDir : relative;
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
