import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Command } from 'commander';
import { registerFetch } from '../../client/cli/fetch.ts';
import type { Io } from '../../client/cli/io.ts';
import { registerPay } from '../../client/cli/pay.ts';
import { registerWallet } from '../../client/cli/wallet.ts';
import { systemClock } from '../../client/clock.ts';
import { startGateway, until } from './fake-gateway.ts';
import {
  listen,
  NODE_MACAROON,
  PASS,
  type ShopOptions,
  startNode,
  startShop,
  type TestNode,
  type TestShop,
} from './support.ts';

let node: TestNode;
let shop: TestShop;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-cli-'));
  node = await startNode();
  await openShop({});
  await writeFile(
    join(folder, 'simnet.json'),
    JSON.stringify({ url: node.url, wallets: { default: NODE_MACAROON } }),
  );
});
afterEach(async () => {
  await shop.close();
  await node.close();
  await rm(folder, { recursive: true });
});

async function openShop(options: Omit<ShopOptions, 'node'>): Promise<void> {
  await shop?.close();
  shop = await startShop({ node, ...options });
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], { stdin = '' } = {}): Promise<Outcome> {
  const out = new PassThrough();
  const err = new PassThrough();
  const text = { stdout: '', stderr: '' };
  let code = 0;
  const { promise: exited, resolve: exit } = Promise.withResolvers<void>();
  out.on('data', (chunk) => {
    text.stdout += chunk;
  });
  err.on('data', (chunk) => {
    text.stderr += chunk;
  });
  const io: Io = {
    stdin: Readable.from([stdin]),
    stdout: out,
    stderr: err,
    env: {},
    cwd: folder,
    setExitCode: (value) => {
      code = value;
    },
    exit: (value) => {
      code = value;
      exit();
    },
    onInterrupt: () => () => undefined,
  };
  const program = new Command();
  registerFetch(program, io);
  registerPay(program, io);
  registerWallet(program, io);
  await Promise.race([program.parseAsync([...args, '--data', folder], { from: 'user' }), exited]);
  await new Promise((resolve) => setImmediate(resolve));
  return { code, ...text };
}

describe('sluice fetch', () => {
  it('prints the body on stdout and the payment on stderr', async () => {
    node.feeMsat = 1_000;
    const { code, stdout, stderr } = await run(['fetch', `${shop.origin}/quote`]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'sold /quote');
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      '402 Payment Required: 10 sat (PLAY MONEY) (quote) …',
      'paid 10 sat + 1 sat fee (PLAY MONEY) …',
      '200 OK',
      'cost: 11 sat (fee 1 sat) (PLAY MONEY), 0 sat left on the account',
    ]);
  });

  it('tells at the end what an answer that was charged as it was delivered has left', async () => {
    const metered = await startGateway(node, systemClock);
    metered.price = '10msat/1000B';
    metered.contentType = 'text/plain';
    const readToEnd = async (args: readonly string[], balanceMsat: number): Promise<Outcome> => {
      const streams = metered.streams.length;
      const outcome = run(['fetch', `${metered.origin}/file`, ...args]);
      await until('it is being read', () => metered.streams.length > streams);
      metered.setBalance(balanceMsat);
      // The gateway sees the end of the answer later than the question.
      metered.setAside.push(5_000, 5_000);
      metered.streams.at(-1)?.write('the file');
      metered.streams.at(-1)?.end();
      return outcome;
    };
    try {
      const first = await readToEnd([], 52_000);
      assert.deepEqual([first.code, first.stdout], [0, 'the file'], first.stderr);
      assert.match(first.stderr, /\ncost: 60 sat \(PLAY MONEY\), 52 sat left on the account\n$/);
      const { isMetered, balanceMsat, paidMsat } = JSON.parse((await readToEnd(['--json'], 44_500)).stderr);
      assert.deepEqual([isMetered, balanceMsat, paidMsat], [true, 44_500, 0]);
      const asked = metered.count('GET /.l402/account 200');
      assert.equal(asked, 6);
      assert.equal((await readToEnd(['-s'], 40_000)).stderr, '');
      assert.equal(metered.count('GET /.l402/account 200'), asked, 'nobody would read it');
      metered.faults.set('/.l402/account', [{ status: 404 }]);
      const last = await readToEnd([], 30_000);
      assert.match(
        last.stderr,
        /\ncost: 0 sat .*, and what the answer did not use of the account stays on it\n$/,
      );
    } finally {
      await metered.close();
    }
  });

  it('uses in the next run what the first one bought', async () => {
    await openShop({ wareOf: () => PASS });
    await run(['fetch', `${shop.origin}/library/a`]);
    const { stderr } = await run(['fetch', `${shop.origin}/library/b`]);
    assert.match(stderr, /^trying a token that was bought before \(library\) …\n200 OK\ncost: 0 sat/);
    assert.equal(node.paid.length, 1);
  });

  it('refuses over --max-sats with code 110', async () => {
    const { code, stdout, stderr } = await run(['fetch', `${shop.origin}/quote`, '--max-sats', '9.999']);
    assert.deepEqual([code, stdout, node.paid.length], [110, '', 0]);
    assert.match(stderr, /sluice: The price is 10 sat and only 9999 msat is left for this request/);
  });

  it('with --dry-run names the price, pays nothing and needs no wallet', async () => {
    await rm(join(folder, 'simnet.json'));
    const { code, stdout } = await run(['fetch', '--dry-run', `${shop.origin}/quote`]);
    assert.deepEqual([code, stdout, node.paid.length], [0, 'would pay 10 sat\n', 0]);
  });

  it('with --json reports one object', async () => {
    const { stderr } = await run(['fetch', '--json', `${shop.origin}/quote`]);
    const { idempotencyKey, paymentHash, ...rest } = JSON.parse(stderr);
    assert.match(`${idempotencyKey} ${paymentHash}`, /^[0-9a-f-]{36} [0-9a-f]{64}$/);
    assert.deepEqual(rest, {
      url: `${shop.origin}/quote`,
      reused: false,
      paidMsat: 10_000,
      feeMsat: 0,
      service: 'quote',
      status: 200,
      balanceMsat: 0,
      exitCode: 0,
    });
    const failed = JSON.parse(
      (await run(['fetch', '--json', '--max-sats', '1', `${shop.origin}/quote`])).stderr,
    );
    assert.deepEqual([failed.exitCode, failed.error.code], [110, 'over-budget']);
  });

  it('takes curl options for method, headers and body', async () => {
    await writeFile(join(folder, 'body.txt'), 'a=1\n');
    const posted = await run(
      [
        'fetch',
        `${shop.origin}/quote`,
        '-H',
        'X-Test: yes',
        '-d',
        '@body.txt',
        '-d',
        '@-',
        '-d',
        'c=3',
        '-s',
      ],
      { stdin: 'b=2\r\n' },
    );
    assert.deepEqual([posted.stdout, posted.stderr], ['sold /quote for a=1&b=2&c=3', '']);
    const last = shop.seen.at(-1);
    assert.equal(last?.method, 'POST');
    assert.equal(last?.headers['x-test'], 'yes');
    assert.equal(last?.headers['content-type'], 'application/x-www-form-urlencoded');
    await run([
      'fetch',
      `${shop.origin}/quote`,
      '-X',
      'PUT',
      '--data-binary',
      '@body.txt',
      '-H',
      'content-type: text/x',
    ]);
    assert.deepEqual([shop.seen.at(-1)?.method, shop.seen.at(-1)?.body], ['PUT', 'a=1\n']);
    assert.equal(shop.seen.at(-1)?.headers['content-type'], 'text/x');
    assert.equal((await run(['fetch', '-X', 'GET', '-d', 'x', `${shop.origin}/quote`])).code, 2);
  });

  it('writes to a file with -o and prints headers with -i', async () => {
    const { stdout } = await run(['fetch', `${shop.origin}/quote`, '-o', 'answer.txt', '-i']);
    assert.equal(stdout, '');
    assert.match(
      await readFile(join(folder, 'answer.txt'), 'utf8'),
      /^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\nsold \/quote$/,
    );
    const paid = node.paid.length;
    for (const output of ['no/such/folder', '.', 'answer.txt/below']) {
      const { code, stderr } = await run(['fetch', `${shop.origin}/quote`, '-o', output]);
      assert.equal(code, 23);
      assert.match(stderr, /can't be written: .+\. Nothing was paid\./);
    }
    assert.equal(node.paid.length, paid);
  });

  it('ends with the codes of curl', async () => {
    const refused = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => refused.once('listening', resolve));
    const address = refused.address();
    await new Promise((resolve) => refused.close(resolve));
    const port = typeof address === 'object' ? address?.port : 0;
    assert.equal((await run(['fetch', `127.0.0.1:${port}/x`])).code, 7);
    assert.equal((await run(['fetch', 'http://name.invalid/'])).code, 6);
    assert.equal((await run(['fetch', 'ftp://127.0.0.1/'])).code, 3);
    assert.equal((await run(['fetch', `${shop.origin}/quote`, '-H', 'nonsense'])).code, 2);
    const odd = await listen((request, response) => {
      if (request.url === '/404') response.writeHead(404).end('not here');
      if (request.url === '/cut') {
        response.writeHead(200, { 'content-length': '99' }).write('part', () => response.destroy());
      }
    });
    assert.deepEqual(await run(['fetch', '-s', `${odd.url}/404`]), {
      code: 0,
      stdout: 'not here',
      stderr: '',
    });
    assert.deepEqual(await run(['fetch', '-sf', `${odd.url}/404`]), { code: 22, stdout: '', stderr: '' });
    const cut = await run(['fetch', `${odd.url}/cut`]);
    assert.deepEqual([cut.code, cut.stdout], [18, 'part']);
    assert.equal((await run(['fetch', '-m', '0.05', `${odd.url}/hangs`])).code, 28);
    await odd.close();
  });

  it('tells payment errors apart by their codes', async () => {
    node.mode = 'fail';
    assert.equal((await run(['fetch', `${shop.origin}/quote`])).code, 111);
    node.mode = 'settle';
    await openShop({ refuses: true });
    assert.equal((await run(['fetch', `${shop.origin}/quote`])).code, 113);
    await rm(join(folder, 'tokens.json'));
    await writeFile(join(folder, 'tokens.json'), 'damaged');
    assert.equal((await run(['fetch', `${shop.origin}/quote`])).code, 114);
    await rm(join(folder, 'simnet.json'));
    assert.equal((await run(['fetch', `${shop.origin}/quote`])).code, 111);
  });

  it('interrupted while it pays leaves a purchase that the next run finishes without paying again', async () => {
    node.mode = 'settle-silently';
    const script = `
      const { Command } = await import('commander');
      const { registerFetch } = await import('${new URL('../../client/cli/fetch.ts', import.meta.url)}');
      const { processIo } = await import('${new URL('../../client/cli/io.ts', import.meta.url)}');
      const program = new Command();
      registerFetch(program, processIo());
      await program.parseAsync(process.argv.slice(1), { from: 'user' });`;
    const command = ['fetch', `${shop.origin}/quote`, '--data', folder];
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...command]);
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    node.onPay = () => child.kill('SIGINT');
    const [exitCode] = await once(child, 'close');
    assert.equal(exitCode, 130, stderr);
    assert.match(stderr, /Interrupted/);
    node.mode = 'settle';
    const { code, stdout } = await run(['fetch', `${shop.origin}/quote`]);
    assert.deepEqual([code, stdout], [0, 'sold /quote']);
    assert.equal(node.paid.length, 1);
  });

  it('shows what a server says without letting it move the cursor', async () => {
    await openShop({
      invoice: { memo: '\u001b[2Jpaid\n200 OK' },
      bend: (challenge) => {
        challenge.headers['www-authenticate'] = String(challenge.headers['www-authenticate']).replaceAll(
          /(macaroon|token)="[^"]*"/g,
          '$1="AgEE"',
        );
      },
    });
    const { stderr } = await run(['fetch', '--dry-run', `${shop.origin}/quote`]);
    assert.match(
      stderr,
      /^402 Payment Required: 10 sat \(PLAY MONEY\) \(\?\[2Jpaid\?200 OK\) …\ncost: 0 sat/,
    );
  });

  it('with the qr wallet shows a code and waits for the gateway', async () => {
    let preimage = '';
    await openShop({
      intercept: (request, response) => {
        const [, hash] = /^\/\.l402\/invoices\/([0-9a-f]{64})\?wait=(\d+)$/.exec(request.url ?? '') ?? [];
        if (hash === undefined) return false;
        preimage = node.preimageOf(hash);
        const isFirst = request.url?.endsWith('wait=0');
        response.end(JSON.stringify(isFirst ? { state: 'open' } : { state: 'settled', preimage }));
        return true;
      },
    });
    const { code, stdout, stderr } = await run(['fetch', '--wallet', 'qr', `${shop.origin}/quote`]);
    assert.deepEqual([code, stdout], [0, 'sold /quote'], stderr);
    assert.match(stderr, /█/);
    assert.match(stderr, /Pay 10 sat \(PLAY MONEY\) with this code, or this invoice:\nlnbcrt/);
    assert.match(stderr, /cost: 10 sat, /);
    assert.ok(preimage !== '' && !stderr.includes(preimage));
  });
});

describe('sluice pay', () => {
  it('prints the preimage on stdout and the cost on stderr, also when it was paid before', async () => {
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000 });
    const first = await run(['pay', invoice]);
    assert.equal(first.stdout, `${node.preimageOf(paymentHash)}\n`, first.stderr);
    assert.equal(first.stderr, 'paid 2 sat + 0 sat fee (PLAY MONEY); cost: 2 sat\n');
    const second = await run(['pay', `lightning:${invoice}`]);
    assert.equal(second.stdout, first.stdout);
    assert.equal(node.paid.length, 1);
  });

  it('refuses what is too dear, expired, of another network or no invoice', async () => {
    const dear = node.newInvoice({ amountMsat: 2_000 }).invoice;
    assert.equal((await run(['pay', dear, '--max-sats', '1'])).code, 110);
    const expired = node.newInvoice({ amountMsat: 2_000, createdAtSec: 1_700_000_000 }).invoice;
    assert.equal((await run(['pay', expired])).code, 110);
    const elsewhere = node.newInvoice({ amountMsat: 2_000, network: 'mainnet' }).invoice;
    assert.equal((await run(['pay', elsewhere])).code, 110);
    assert.equal((await run(['pay', 'lnbc1'])).code, 2);
    assert.equal(node.paid.length, 0);
  });

  it('pays through LND when told its address', async () => {
    const { invoice, paymentHash } = node.newInvoice({ amountMsat: 2_000 });
    const macaroonFile = join(folder, 'admin.macaroon');
    await writeFile(macaroonFile, Buffer.from(NODE_MACAROON, 'hex'));
    const lnd = ['--wallet', 'lnd', '--lnd-url', node.url, '--lnd-macaroon', macaroonFile];
    const { stdout, stderr } = await run(['pay', invoice, ...lnd]);
    assert.equal(stdout, `${node.preimageOf(paymentHash)}\n`);
    assert.ok(!stderr.includes('PLAY MONEY'));
    assert.equal((await run(['pay', invoice, '--wallet', 'lnd'])).code, 2);
  });
});

describe('sluice wallet', () => {
  it('prints balance and history', async () => {
    assert.equal((await run(['wallet', 'balance'])).stdout, '7500 msat (PLAY MONEY)\n');
    assert.equal(
      (await run(['wallet', 'balance', '--json'])).stdout,
      '{"balanceMsat":7500,"playMoney":true}\n',
    );
    assert.equal((await run(['wallet', 'history'])).stdout, 'no payments yet\n');
    await run(['pay', node.newInvoice({ amountMsat: 2_000 }).invoice]);
    assert.match(
      (await run(['wallet', 'history'])).stdout,
      /^2023-11-14T22:13:20Z {2}succeeded {2}2 sat \+ 0 sat fee .*PLAY MONEY\n$/,
    );
    assert.equal((await run(['wallet', 'history', '-n', '0'])).code, 2);
  });
});
