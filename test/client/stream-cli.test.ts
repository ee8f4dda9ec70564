import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Command } from 'commander';
import type { Io } from '../../client/cli/io.ts';
import { baseUrlOf, registerKey } from '../../client/cli/key.ts';
import { parseDuration } from '../../client/cli/parse-duration.ts';
import { registerStream } from '../../client/cli/stream.ts';
import { formatDuration } from '../../client/cli/stream-report.ts';
import { systemClock } from '../../client/clock.ts';
import { type FakeGateway, startGateway, until } from './fake-gateway.ts';
import { listen, NODE_MACAROON, startNode, type TestNode } from './support.ts';

let node: TestNode;
let gateway: FakeGateway;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-stream-'));
  node = await startNode();
  gateway = await startGateway(node, systemClock);
  const simnet = { url: node.url, wallets: { default: NODE_MACAROON } };
  await writeFile(join(folder, 'simnet.json'), JSON.stringify(simnet));
});
afterEach(async () => {
  await gateway.close();
  await node.close();
  await rm(folder, { recursive: true });
});

interface Run {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly text: { stdout: string; stderr: string };
  /** Presses Ctrl-C. */
  readonly interrupt: () => void;
  /** The exit code. */
  readonly done: Promise<number>;
}

function start(args: readonly string[], { isTTY = false, sharesTerminal = false } = {}): Run {
  const stdin = new PassThrough();
  const stdout = Object.assign(new PassThrough(), { isTTY: sharesTerminal });
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const text = { stdout: '', stderr: '' };
  stdout.on('data', (chunk) => {
    text.stdout += chunk;
  });
  stderr.on('data', (chunk) => {
    text.stderr += chunk;
  });
  let code = 0;
  let interrupt = (): void => undefined;
  const { promise: exited, resolve: exit } = Promise.withResolvers<void>();
  const io: Io = {
    stdin,
    stdout,
    stderr,
    env: {},
    cwd: folder,
    setExitCode: (value) => {
      code = value;
    },
    exit: (value) => {
      code = value;
      exit();
    },
    onInterrupt: (handler) => {
      interrupt = handler;
      return () => undefined;
    },
  };
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  registerStream(program, io);
  registerKey(program, io);
  const finished = program.parseAsync([...args, '--data', folder], { from: 'user' });
  const done = Promise.race([finished, exited]).then(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return code;
  });
  return { stdin, stdout, text, interrupt: () => interrupt(), done };
}

function topUps(): number {
  return gateway.count('POST /.l402/topup 200');
}

describe('sluice stream', () => {
  it('prints the stream on stdout and what it costs on stderr', async () => {
    const { done, text } = start(['stream', `${gateway.origin}/live`]);
    await until('it is open', () => gateway.streams.length === 1);
    gateway.streams[0]?.event('message', { n: 1 });
    await until('it was printed', () => text.stdout.includes('"n":1'));
    gateway.setBalance(42_000);
    gateway.streams[0]?.end();
    assert.equal(await done, 0, text.stderr);
    assert.equal(text.stdout, 'event: message\ndata: {"n":1}\n\n');
    const lines = text.stderr.trimEnd().split('\n');
    assert.deepEqual(lines.slice(0, 2), [
      '402 Payment Required: 60 sat (PLAY MONEY) (live) …',
      'paid 60 sat + 0 sat fee (PLAY MONEY) …',
    ]);
    assert.match(
      lines[2] ?? '',
      /^balance: (60\.0|59\.\d) sat \(PLAY MONEY\), 100 msat\/s, lasts \d+ min \d+ s$/,
    );
    assert.equal(lines[3], '200 OK');
    assert.match(
      lines.at(-1) ?? '',
      /^streamed 30 B in \d s, cost: 60 sat \(PLAY MONEY\), 18 sat used, 42 sat left on the account$/,
    );
  });

  it('tops up by --topup, and keeps one line up to date on a terminal', async () => {
    const { done, text, interrupt } = start(['stream', `${gateway.origin}/live`, '--topup', '20'], {
      isTTY: true,
    });
    await until('the feed is open', () => gateway.feeds.length === 1);
    gateway.setBalance(1_000);
    gateway.feeds[0]?.event('balance', { balanceMsat: 1_000 });
    await until('it was topped up', () => text.stderr.includes('topped up; 21 sat'));
    assert.ok(
      text.stderr.includes('\r\u001b[2Kbalance: 1.0 sat (PLAY MONEY), 100 msat/s, lasts 10 s'),
      text.stderr,
    );
    assert.match(text.stderr, /topping up by 20 sat \(PLAY MONEY\); 1 sat left …\n/);
    assert.equal(text.stderr.split('402 Payment Required').length, 2, 'a top-up is no 402');
    interrupt();
    assert.equal(await done, 130);
    assert.match(
      text.stderr,
      /streamed 0 B in \d s, cost: 80 sat \(PLAY MONEY\), 1 top-up, .*left on the account\n$/,
    );
    await gateway.streams[0]?.closed;
  });

  it('keeps the stream and the balance apart where both go to one terminal', async () => {
    gateway.contentType = 'text/plain';
    const both = { isTTY: true, sharesTerminal: true };
    const { done, text, interrupt } = start(['stream', `${gateway.origin}/raw`], both);
    await until('the feed is open', () => gateway.feeds.length === 1 && text.stderr.includes('200 OK'));
    gateway.feeds[0]?.event('balance', { balanceMsat: 50_000 });
    await until('the balance is shown', () => text.stderr.includes('balance: 50.0 sat'));
    const shown = text.stderr.length;
    gateway.streams[0]?.write('a line\nhalf');
    await until('it was printed', () => text.stdout.endsWith('half'));
    assert.ok(text.stderr.slice(shown).includes('\r\u001b[2K'), 'the balance made way');
    interrupt();
    await done;
    assert.match(text.stderr, /\nstreamed 11 B in/, 'the half line is ended first');
  });

  it('with --no-topup ends when the first payment is used up, with code 18', async () => {
    const { done, text } = start(['stream', `${gateway.origin}/live`, '--no-topup']);
    await until('it is open', () => gateway.streams.length === 1);
    gateway.setBalance(0);
    gateway.streams[0]?.event('payment-need-topup', { balanceMsat: 0 });
    gateway.streams[0]?.event('session-timeout', { cutBy: 'unpaid' });
    gateway.streams[0]?.end();
    assert.equal(await done, 18);
    assert.match(text.stderr, /sluice: The stream was cut because its money ran out/);
    assert.equal(topUps(), 0);
  });

  it('spends no more than --max-sats, and says why it ends', async () => {
    const { done, text } = start(['stream', `${gateway.origin}/live`, '--max-sats', '70', '--json']);
    await until('the feed is open', () => gateway.feeds.length === 1);
    gateway.setBalance(1_000);
    gateway.feeds[0]?.event('balance', { balanceMsat: 1_000 });
    await until('a top-up was looked at', () => topUps() === 1);
    gateway.setBalance(0);
    gateway.streams[0]?.event('session-timeout', { cutBy: 'unpaid' });
    gateway.streams[0]?.end();
    assert.equal(await done, 18);
    const { error, exitCode, paidMsat, end } = JSON.parse(text.stderr);
    assert.deepEqual(
      [error.code, exitCode, paidMsat, end, node.paid.length],
      ['stream-cut', 18, 60_000, 'cut', 1],
    );
    assert.match(error.message, /The price is 60 sat and only 10 sat is left/);
  });

  it('ends after --for, with code 0, and leaves what is left to the next run', async () => {
    const first = start(['stream', `${gateway.origin}/live`, '--for', '300ms']);
    assert.equal(await first.done, 0, first.text.stderr);
    assert.match(first.text.stderr, /60 sat left on the account\n$/);
    const second = start(['stream', `${gateway.origin}/live`, '--for', '100ms', '-s']);
    assert.equal(await second.done, 0);
    assert.deepEqual([second.text.stderr, node.paid.length], ['', 1]);
  });

  it('ends its charge when what it prints is not read any more', async () => {
    const { done, stdout, text } = start(['stream', `${gateway.origin}/live`]);
    await until('it is open', () => gateway.streams.length === 1);
    gateway.streams[0]?.event('message', { n: 0 });
    await until('it was printed', () => text.stdout !== '');
    stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    gateway.streams[0]?.event('message', { n: 1 });
    assert.equal(await done, 23, text.stderr);
    await gateway.streams[0]?.closed;
  });

  it('ends with the codes of sluice fetch', async () => {
    const odd = await listen((request, response) => {
      if (request.url === '/404') response.writeHead(404).end('not here');
      else response.writeHead(200, { 'content-length': '99' }).write('part', () => response.destroy());
    });
    const plain = start(['stream', '-s', `${odd.url}/404`]);
    assert.deepEqual([await plain.done, plain.text.stdout], [0, 'not here']);
    assert.equal(await start(['stream', '-sf', `${odd.url}/404`]).done, 22);
    assert.equal(await start(['stream', `${odd.url}/cut`]).done, 18);
    await odd.close();
    assert.equal(await start(['stream', `${odd.url}/cut`]).done, 7);
    assert.equal(await start(['stream', `${gateway.origin}/live`, '--for', 'ever']).done, 2);
    assert.equal(await start(['stream', `${gateway.origin}/live`, '--topup', 'much']).done, 2);
    assert.equal(await start(['stream', `${gateway.origin}/live`, '--max-sats', '1']).done, 110);
    assert.equal(await start(['stream', `${gateway.origin.replace('http', 'ws')}/ws`, '-d', 'x']).done, 2);
    assert.equal(await start(['stream', `${odd.url.replace('http', 'ws')}/ws`]).done, 7);
  });

  it('prints the messages of a WebSocket, and sends the lines of standard input', async () => {
    const { done, text, stdin, interrupt } = start([
      'stream',
      `${gateway.origin.replace('http', 'ws')}/ws`,
      '-H',
      'X-Test: yes',
    ]);
    await until('it is open', () => text.stdout === 'hello\n');
    gateway.sockets[0]?.on('message', (data) => gateway.sockets[0]?.send(`echo ${data}`));
    await until('it is told', () => text.stderr.includes('101 Switching Protocols'));
    stdin.write('one\ntwo\n');
    await until('both came back', () => text.stdout === 'hello\necho one\necho two\n');
    interrupt();
    assert.equal(await done, 130);
    assert.match(text.stderr, /streamed \d+ B in \d s, cost: 60 sat/);
  });

  it('opens a WebSocket again that was cut while its top-up was being paid', async () => {
    const { done, text, interrupt } = start([
      'stream',
      `${gateway.origin.replace('http', 'ws')}/ws`,
      '--topup',
      '20',
    ]);
    await until('the feed is open', () => gateway.feeds.length === 1 && text.stdout === 'hello\n');
    gateway.onTopUpAsked = () => gateway.sockets[0]?.close(4402);
    gateway.setBalance(1_000);
    gateway.feeds[0]?.event('balance', { balanceMsat: 1_000 });
    await until('it is open again', () => text.stdout === 'hello\nhello\n');
    assert.deepEqual([topUps(), node.paid.length], [1, 2]);
    interrupt();
    assert.equal(await done, 130);
    assert.match(text.stderr, /cost: 80 sat \(PLAY MONEY\), 1 top-up/);
  });

  it('does not go on with a WebSocket that was cut for want of money', async () => {
    const { done, text } = start(['stream', `${gateway.origin.replace('http', 'ws')}/ws`, '--no-topup']);
    await until('it is open', () => text.stdout === 'hello\n');
    gateway.setBalance(0);
    gateway.sockets[0]?.close(4402);
    assert.equal(await done, 18);
    assert.match(text.stderr, /The connection was cut because its money ran out/);
    assert.equal(node.paid.length, 1);
  });
});

describe('sluice key buy', () => {
  it('prints a credential worth what was asked for, which its own store does not spend', async () => {
    const { done, text } = start(['key', 'buy', `${gateway.origin}/v1/chat/completions`, '--sats', '150']);
    assert.equal(await done, 0, text.stderr);
    assert.match(text.stdout, /^[A-Za-z0-9+/=]+:[0-9a-f]{64}\n$/);
    assert.equal(gateway.balances.get(gateway.account()), 150_000);
    assert.equal(node.paid.length, 2);
    const answer = await fetch(`${gateway.origin}/.l402/account`, {
      headers: { authorization: `L402 ${text.stdout.trim()}` },
    });
    assert.equal((await answer.json()).balanceMsat, 150_000);
    assert.match(text.stderr, /cost: 150 sat \(PLAY MONEY\), 150 sat to spend, until \d{4}-/);
    assert.match(text.stderr, new RegExp(`OPENAI_BASE_URL=${gateway.origin}/v1 OPENAI_API_KEY=<the key>`));
    assert.ok(!text.stderr.includes(text.stdout.trim().slice(-64)), 'the preimage is on stdout alone');
    assert.deepEqual(JSON.parse(await readFile(join(folder, 'tokens.json'), 'utf8')).tokens, []);
  });

  it('makes no top-up when the first purchase is enough', async () => {
    const { done, text } = start(['key', 'buy', `${gateway.origin}/live`, '--sats', '60', '--json']);
    assert.equal(await done, 0, text.stderr);
    const { apiKey, authorization, baseUrl, balanceMsat, paidMsat } = JSON.parse(text.stdout);
    assert.equal(authorization, `L402 ${apiKey}`);
    assert.deepEqual(
      [baseUrl, balanceMsat, paidMsat, topUps()],
      [`${gateway.origin}/live`, 60_000, 60_000, 0],
    );
    assert.equal(text.stderr, '');
  });

  it('buys nothing when the least that is sold is more, when it is free, or over its limit', async () => {
    const dear = start(['key', 'buy', `${gateway.origin}/live`, '--sats', '50']);
    assert.equal(await dear.done, 110);
    assert.match(dear.text.stderr, /The smallest credit sold here costs 60 sat, and 50 sat was asked for/);
    const free = await listen((_, response) => void response.end('free'));
    assert.equal(await start(['key', 'buy', free.url, '--sats', '50']).done, 110);
    await free.close();
    assert.equal(
      await start(['key', 'buy', `${gateway.origin}/live`, '--sats', '100', '--max-sats', '99']).done,
      2,
    );
    assert.equal(node.paid.length, 0);
  });

  it('keeps what was bought when the top-up is refused', async () => {
    gateway.faults.set('/.l402/topup', [{ status: 403 }]);
    const { done, text } = start(['key', 'buy', `${gateway.origin}/live`, '--sats', '100']);
    assert.equal(await done, 110);
    assert.equal(text.stdout, '');
    assert.match(text.stderr, /60 sat was bought, and could not be topped up.*kept in the token store/);
    const { tokens } = JSON.parse(await readFile(join(folder, 'tokens.json'), 'utf8'));
    assert.deepEqual(
      tokens.map(({ state }: { state: { kind: string } }) => state.kind),
      ['ready'],
    );
  });
});

describe('what a person reads and writes', () => {
  it('takes times with units', () => {
    const times = ['30s', '5m', '1.5h', '250ms', '7'].map((text) => parseDuration('--for', text));
    assert.deepEqual(times, [30_000, 300_000, 5_400_000, 250, 7_000]);
    for (const text of ['', '0s', '-1s', '1d', '1e3', '999999999h', ' 1s']) {
      assert.throws(() => parseDuration('--for', text), /--for takes a time/, text);
    }
  });

  it('shows times in two units at most', () => {
    assert.deepEqual([0, 59_999, 60_000, 3_599_000, 7_800_000].map(formatDuration), [
      '0 s',
      '59 s',
      '1 min 0 s',
      '59 min 59 s',
      '2 h 10 min',
    ]);
  });

  it('names the base URL that SDKs want', () => {
    const bases = ['/v1/chat/completions', '/llm/v1/models/', '/v1/messages', '/v1', '/', '/quote'].map(
      (path) => baseUrlOf(new URL(path, 'http://host')),
    );
    assert.deepEqual(bases, [
      'http://host/v1',
      'http://host/llm/v1',
      'http://host/v1',
      'http://host/v1',
      'http://host',
      'http://host/quote',
    ]);
  });
});
