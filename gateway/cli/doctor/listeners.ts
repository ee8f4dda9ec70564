import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { Config, Listener } from '../../../config/config.ts';
import { isLoopbackHost } from '../../../node/loopback.ts';
import { readCertificate } from '../../certificate.ts';
import { describeSeconds } from './describe-seconds.ts';
import { codeOf, type Diagnosis, reasonOf, scribe } from './diagnosis.ts';
import type { RunningGateway } from './running-gateway.ts';

/** Renewals fail quietly: two weeks are time enough to look, seconds. */
const RENEW_SEC = 14 * 24 * 3600;

/** Whether the gateway can listen where it shall: ports, and the certificates of its listeners. */
export async function checkListeners(
  config: Config,
  running: RunningGateway | undefined,
  nowMs: () => number,
): Promise<readonly Diagnosis[]> {
  const { listen, admin, node } = config;
  const places: readonly Place[] = [
    ...listen.map(({ host, port }) => ({ host, port, key: 'listen' })),
    { ...admin, key: 'admin' },
    // Its port gives way when nobody chose it.
    ...(node.type === 'simulated' && node.url === undefined && node.portChosen
      ? [{ host: '127.0.0.1', port: node.port, key: 'node.port' }]
      : []),
  ];
  const found: Diagnosis[] = [];
  for (const place of places) found.push(await checkPort(place, running));
  for (const listener of listen) found.push(...(await checkListenerCertificate(listener, nowMs)));
  return [...found, ...checkPlayMoney(config)];
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

async function checkPort(
  { host, port, key }: Place,
  running: RunningGateway | undefined,
): Promise<Diagnosis> {
  const say = scribe('port');
  const where = `${host}:${port} (${key})`;
  if (port === 0) return say.ok(`${host} (${key}) takes any free port`);
  const failure = await tryToListen(host, port);
  if (failure === undefined) return say.ok(`${where} is free`);
  switch (codeOf(failure)) {
    case 'EADDRINUSE':
      return running === undefined
        ? say.problem(`${where} is in use by another program`, 'stop that one, or choose another port')
        : say.ok(`${where} is in use by the running gateway (Sluice ${running.version})`);
    case 'EACCES':
      return say.problem(
        `this user may not listen on ${where}`,
        'choose a port above 1023, or put a reverse proxy in front',
      );
    case 'EADDRNOTAVAIL':
      return say.problem(
        `${host} (${key}) is no address of this machine`,
        'listen on 127.0.0.1, or on 0.0.0.0',
      );
    default:
      return say.problem(`${where} can not be listened on: ${reasonOf(failure)}`, 'choose another address');
  }
}

/** Opens the port and closes it again; resolves to why it could not be opened. */
function tryToListen(host: string, port: number): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const server = createServer();
  server.once('error', resolve);
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  return promise;
}

async function checkListenerCertificate(
  { host, port, tls }: Listener,
  nowMs: () => number,
): Promise<readonly Diagnosis[]> {
  if (tls === undefined) return [];
  const say = scribe('certificate');
  const remedy = 'correct `tls.cert` and `tls.key`';
  try {
    const { cert } = await readCertificate(tls);
    return [checkDates(new X509Certificate(cert), `the certificate of ${host}:${port}`, nowMs(), 'renew it')];
  } catch (error) {
    return [say.problem(`the certificate of ${host}:${port} can not be used: ${reasonOf(error)}`, remedy)];
  }
}

/** Judges when a certificate holds. @param whose - begins the sentence */
export function checkDates(
  { validFromDate, validToDate }: X509Certificate,
  whose: string,
  nowMs: number,
  remedy: string,
): Diagnosis {
  const say = scribe('certificate');
  const leftSec = Math.floor((validToDate.getTime() - nowMs) / 1000);
  if (leftSec <= 0) return say.problem(`${whose} ended ${describeSeconds(-leftSec)} ago`, remedy);
  if (validFromDate.getTime() > nowMs) {
    return say.problem(
      `${whose} holds only from ${validFromDate.toISOString()} on`,
      `${remedy}, or set the clock`,
    );
  }
  const left = `${whose} holds for ${describeSeconds(leftSec)} more`;
  return leftSec < RENEW_SEC ? say.warning(left, remedy) : say.ok(left);
}

function checkPlayMoney({ node, allowPlayMoney, listen }: Config): readonly Diagnosis[] {
  const open = listen.find(({ host }) => !isLoopbackHost(host));
  if (node.type !== 'simulated' || open === undefined) return [];
  const say = scribe('play money');
  const message = `the node is simulated, and anybody can reach ${open.host}:${open.port}: everything sold there is free`;
  if (allowPlayMoney) return [say.warning(message, 'attach a real node before this is more than a trial')];
  return [
    say.problem(
      `${message}, so the gateway does not start`,
      'listen on 127.0.0.1, attach a real node, or set `allowPlayMoney: true`',
    ),
  ];
}
