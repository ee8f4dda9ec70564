import { METHODS } from 'node:http';
import type { Command } from 'commander';
import type { ServiceConfig } from '../../config/config.ts';
import { demoConfig } from '../../config/demo.ts';
import { findConfigSource } from '../../config/load.ts';
import { GatewayError } from '../errors.ts';
import type { RouteExplanation } from '../flow/explain-route.ts';
import { compileRoutes } from '../flow/match-service.ts';
import { describePrice } from '../pricing/describe-price.ts';
import { loadForOperator } from './check-config.ts';
import type { OperatorIo } from './io.ts';
import { formatDeposit, formatMatch, formatServices, formatTable } from './print-table.ts';

/** The demo API gets a free port at each start: this stands for it. */
const DEMO_UPSTREAM = 'http://demo';

/** `sluice routes METHOD URL`: which service answers, at what price, where it is forwarded to, and why no other. Exit code 1 when none does. */
export function registerRoutes(program: Command, io: OperatorIo): void {
  program
    .command('routes')
    .description('explain which service answers a request, and at what price; without one, list all')
    .argument('[method]', 'GET, POST …')
    .argument('[url]', 'a path, or an http(s) URL when the host matters')
    .option('-c, --config <file>', 'configuration file (default: ./sluice.yaml)')
    .action((method: string | undefined, url: string | undefined, options: { readonly config?: string }) => {
      const services = servicesToExplain(options.config, io);
      if (services !== undefined) explainRequest(services, method, url, io);
    });
}

/** Without a file the gateway sells the demo, and so that is what there is to explain. */
function servicesToExplain(file: string | undefined, io: OperatorIo): readonly ServiceConfig[] | undefined {
  if (file === undefined && findConfigSource({ cwd: io.cwd }).kind === 'demo') {
    io.stderr.write('There is no sluice.yaml here: this is what the demo sells.\n');
    return demoConfig(DEMO_UPSTREAM).services;
  }
  return loadForOperator(file, io)?.config.services;
}

function explainRequest(
  services: readonly ServiceConfig[],
  first: string | undefined,
  second: string | undefined,
  io: OperatorIo,
): void {
  if (first === undefined) {
    io.stdout.write(formatServices(services));
    return;
  }
  // `sluice routes /quote` is a GET.
  const [method, url] = second === undefined ? ['GET', first] : [first.toUpperCase(), second];
  if (!METHODS.includes(method)) {
    fail(io, `${first} is not a method. Write for example: sluice routes GET /quote`);
    return;
  }
  try {
    const explanation = compileRoutes(services).explain(method, url);
    io.stdout.write(formatExplanation(method, explanation));
    if (explanation.winner === undefined) io.setExitCode(1);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    fail(io, `The gateway refuses this target with ${error.status}: ${error.message}`);
  }
}

function fail(io: OperatorIo, message: string): void {
  io.stderr.write(`${message}\n`);
  io.setExitCode(1);
}

function formatExplanation(
  asked: string,
  { method, target, winner, upstreamUrl, candidates }: RouteExplanation,
): string {
  const host = target.host === '' ? '' : ` on ${target.host}`;
  const as = asked === method ? '' : ` (priced as ${method})`;
  const lines = [`${asked} ${target.path}${target.query}${host}${as}\n`];
  if (winner === undefined) {
    lines.push('No service answers: 404.\n');
  } else {
    const deposit = formatDeposit(winner);
    lines.push(
      `Service    ${winner.name}\n`,
      `Price      ${describePrice(winner.price)}\n`,
      ...(deposit === '' ? [] : [`Deposit    ${deposit}\n`]),
      `Goes to    ${upstreamUrl}\n`,
    );
  }
  if (candidates.length === 0) return lines.join('');
  const rows = candidates.map(({ service, wins, reason }) => [
    wins ? '→' : ' ',
    service.name,
    formatMatch(service),
    describePrice(service.price),
    reason,
  ]);
  return `${lines.join('')}\n${formatTable(rows)}`;
}
