import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkConfig, warnConfig } from '../../config/check.ts';
import type { Config, MeteringConfig } from '../../config/config.ts';
import { parseFlags } from '../../config/flags.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { checkMetering } from '../../config/metering.ts';
import { ConfigError, formatKey } from '../../config/problem.ts';
import { resolveConfig } from '../../config/resolve.ts';
import { type ConfigFileInput, fileSchema } from '../../config/schema.ts';

type ServiceInput = ConfigFileInput['services'][number];
type Keys = Omit<ServiceInput, 'name' | 'upstream'>;

function read(service: Keys): { readonly config: Config; readonly findings: readonly string[] } {
  const file = fileSchema.parse({
    services: [{ name: 'a', path: '/a', upstream: 'http://127.0.0.1:3000', ...service }],
  });
  const config = resolveConfig(file, '/');
  const findings = [...checkMetering(file.services), ...checkConfig(config)].map(
    ({ path, problem, remedy }) => `${formatKey(path)} ${problem}. ${remedy}`,
  );
  return { config, findings };
}

function metering(service: Keys): MeteringConfig {
  const { config, findings } = read(service);
  assert.deepEqual(findings, []);
  return config.services[0]?.metering ?? assert.fail('not metered');
}

/** The only thing that is wrong. */
function refusal(service: Keys): string {
  const { findings } = read(service);
  assert.equal(findings.length, 1, findings.join('\n'));
  return findings[0] ?? '';
}

const DEFAULTS = {
  depositMsat: 100_000,
  sliceMs: 1_000,
  holdMs: 45_000,
  warnMs: 10_000,
  chargeFrom: 'response',
  maxStreams: 3,
  charge: 'each',
  count: 'response',
  allowBurst: false,
};

test('a metered price needs no other key', () => {
  assert.deepEqual(metering({ price: '100 msat/second' }), DEFAULTS);
  assert.deepEqual(metering({ price: '10 msat/KB' }), DEFAULTS);
  assert.deepEqual(metering({ price: '2 sat/event' }), DEFAULTS);
});

test('only a metered price has settings of a meter', () => {
  for (const price of ['free', '10 sat', '50 sat for 100 calls', '1000 sat for 24h']) {
    assert.ok(!Object.hasOwn(read({ price }).config.services[0] ?? {}, 'metering'), price);
  }
});

test('every key is read, with its unit', () => {
  const time = metering({
    price: '100 msat/second',
    deposit: '60s',
    hold: '0s',
    warn: '5s',
    slice: '500ms',
    chargeFrom: 'request',
    streams: { max: 7, charge: 'once' },
    pace: '2Mbit/s',
    allowBurst: true,
  });
  assert.deepEqual(time, {
    depositMsat: 6_000,
    sliceMs: 500,
    holdMs: 0,
    warnMs: 5_000,
    chargeFrom: 'request',
    maxStreams: 7,
    charge: 'once',
    count: 'response',
    paceBytesPerSec: 250_000,
    allowBurst: true,
  });
  const bytes = metering({
    price: '10 msat/KB',
    count: 'both',
    pace: '250KB/s',
    streams: { max: 'unlimited' },
  });
  assert.deepEqual([bytes.count, bytes.paceBytesPerSec, bytes.maxStreams], ['both', 250_000, undefined]);
});

/** Price, deposit, what a challenge sells in msat. */
const DEPOSITS: readonly (readonly [string, string | undefined, number])[] = [
  ['100 msat/second', '100 sat', 100_000],
  ['360 sat/hour', '1h', 360_000],
  ['10 msat/KB', '10MB', 100_000],
  ['1 msat/KB', '1500 bytes', 2],
  ['2 sat/event', '50 events', 100_000],
  ['10 sat/second', undefined, 600_000],
  ['200 sat/minute', undefined, 200_000],
  ['500 sat/event', undefined, 500_000],
  ['1 sat/byte', undefined, 1_024_000],
];

for (const [price, deposit, depositMsat] of DEPOSITS) {
  test(`${price} with ${deposit === undefined ? 'no deposit' : `a deposit of ${deposit}`} sells ${depositMsat} msat`, () => {
    assert.equal(metering({ price, ...(deposit !== undefined && { deposit }) }).depositMsat, depositMsat);
  });
}

test('without a deposit, at least one request that is billed by its report can be paid', () => {
  const usage = { header: 'x-n', estimate: 50 };
  assert.equal(metering({ price: '10 sat/page', usage }).depositMsat, 500_000);
  assert.equal(metering({ price: '10 sat/page', usage, deposit: '100 page' }).depositMsat, 1_000_000);
});

test('usage without a preset: a place and an estimate', () => {
  const usage = (keys: NonNullable<ServiceInput['usage']>) =>
    metering({ price: '1 sat/page', usage: keys }).usage;
  assert.deepEqual(usage({ header: 'X-Pages', estimate: 5 }), {
    kind: 'report',
    unitName: 'page',
    place: { kind: 'header', name: 'x-pages' },
    estimateUnits: 5,
    capUnits: 500,
  });
  assert.deepEqual(usage({ json: 'a.b[0].c', estimate: 5, cap: 5 }), {
    kind: 'report',
    unitName: 'page',
    place: { kind: 'json', path: ['a', 'b', 0, 'c'] },
    estimateUnits: 5,
    capUnits: 5,
  });
  const placeOf = (keys: NonNullable<ServiceInput['usage']>) => {
    const terms = usage(keys);
    return terms?.kind === 'report' ? terms.place : undefined;
  };
  assert.deepEqual(placeOf({ trailer: 'x', estimate: 5 }), { kind: 'trailer', name: 'x' });
  assert.deepEqual(placeOf({ sse: 'n', estimate: 5 }), { kind: 'sse', path: ['n'] });
});

test('a preset has defaults for everything', () => {
  assert.deepEqual(metering({ price: '3 sat/1k tokens', usage: { preset: 'openai' } }).usage, {
    kind: 'preset',
    preset: 'openai',
    unitName: 'tokens',
    estimateUnits: 4_096,
    capUnits: 2_000_000,
    bound: 'reserve',
    inputBytesPerUnit: 1,
    referenceUnits: 4_000,
    maxRequestBytes: 4_000_000,
  });
});

test('a preset with everything said', () => {
  const rate = (sat: number) => `${sat} sat/1k tokens`;
  const terms = metering({
    price: '3 sat/1k tokens',
    usage: {
      preset: 'ollama',
      estimate: 100,
      cap: 1_000,
      bound: 'rewrite',
      boundField: 'max_tokens',
      models: {
        'Small:*': {
          input: rate(1),
          output: rate(4),
          cachedInput: '500 msat/1k tokens',
          cacheWrite: rate(2),
        },
      },
      otherModels: { input: rate(9), output: rate(9) },
      inputBytesPerUnit: 3.5,
      referenceUnits: 0,
      maxRequest: '1MB',
    },
  }).usage;
  assert.ok(terms?.kind === 'preset');
  const { models, ...others } = terms;
  assert.deepEqual(others, {
    kind: 'preset',
    preset: 'ollama',
    unitName: 'tokens',
    estimateUnits: 100,
    capUnits: 1_000,
    bound: 'rewrite',
    boundField: 'max_tokens',
    inputBytesPerUnit: 3.5,
    referenceUnits: 0,
    maxRequestBytes: 1_000_000,
  });
  assert.deepEqual(models?.prefixes, [
    ['small:', { per: 1_000n, input: 1_000n, cachedInput: 500n, cacheWrite: 2_000n, output: 4_000n }],
  ]);
  assert.equal(models?.others?.output, 9_000n);
});

const TIME = { price: '100 msat/second' };
const TOKENS = { price: '3 sat/1k tokens' };
const RATE = { input: '1 sat/1k tokens', output: '1 sat/1k tokens' };

const REFUSED: Readonly<Record<string, readonly [Keys, RegExp]>> = {
  'a deposit in what the price does not count': [
    { ...TIME, deposit: '10MB' },
    /^services\[0\]\.deposit is not in seconds, which the price counts\. write for example `60s`, or an amount: `100 sat`/,
  ],
  'a deposit in another word for units': [
    { ...TOKENS, deposit: '100 token', usage: { preset: 'openai' } },
    /deposit is not in tokens.*`1000 tokens`/,
  ],
  'a deposit of less than one slice': [
    { ...TIME, deposit: '2s', slice: '5s' },
    /deposit is less than one slice of 5 seconds.*at least `500 msat`/,
  ],
  'a deposit of less than a meter asks the upstream for': [
    { price: '1 sat/KB', deposit: '1KB' },
    /deposit is less than 1024 bytes.*`1024 msat`/,
  ],
  'a deposit of less than one event': [{ price: '2 sat/event', deposit: '1 sat' }, /less than one event/],
  'a deposit of less than the estimate': [
    { price: '1 sat/page', deposit: '5 sat', usage: { header: 'x', estimate: 10 } },
    /less than the estimate of 10 page.*`10 sat`/,
  ],
  'a key of the meter on a price by the call': [
    { price: '10 sat', hold: '45s' },
    /^services\[0\]\.hold is for metered prices, and a costs 10 sat a call\. remove it, or meter: `price: 100 msat\/second`/,
  ],
  'usage on a price by the call': [
    { price: '10 sat', usage: { preset: 'openai' } },
    /`price: 3 sat\/1k tokens`/,
  ],
  'false, too, on a price by the call': [
    { price: '10 sat', allowBurst: false },
    /allowBurst is for metered prices/,
  ],
  'usage on a price for time': [
    { ...TIME, usage: { preset: 'openai' } },
    /usage is for prices for units that/,
  ],
  'slices on bytes': [{ price: '1 msat/KB', slice: '2s' }, /slice is for prices for time/],
  'chargeFrom on events': [
    { price: '1 sat/event', chargeFrom: 'request' },
    /chargeFrom is for prices for time/,
  ],
  'pace on events': [{ price: '1 sat/event', pace: '2Mbit/s' }, /pace is for prices for time and bytes/],
  'a direction on time': [{ ...TIME, count: 'both' }, /count is for prices for bytes and events/],
  'charge: once on bytes': [
    { price: '1 msat/KB', streams: { charge: 'once' } },
    /streams\.charge joins streams that are charged for time/,
  ],
  'a reported unit that nothing reports': [
    TOKENS,
    /^services\[0\]\.price counts tokens, and nothing says where.*`usage: \{ preset: openai \}`/,
  ],
  'usage without a place': [{ ...TOKENS, usage: { estimate: 5 } }, /says not where the report is/],
  'usage with two places': [
    { ...TOKENS, usage: { preset: 'openai', json: 'a' } },
    /names 2 places for one report/,
  ],
  'a report without an estimate': [{ ...TOKENS, usage: { json: 'a' } }, /usage has no `estimate`/],
  'a key of presets without one': [
    { ...TOKENS, usage: { json: 'a', estimate: 1, maxRequest: '1MB' } },
    /usage\.maxRequest works with a `preset` only/,
  ],
  'a cap under the estimate': [
    { ...TOKENS, usage: { json: 'a', estimate: 10, cap: 9 } },
    /usage\.cap is less than the estimate of 10/,
  ],
  'a bound that nothing sets': [
    { ...TOKENS, usage: { preset: 'openai', boundField: 'max_tokens' } },
    /boundField names a bound that nothing sets.*`bound: rewrite`/,
  ],
  'a model by the call': [
    { ...TOKENS, usage: { preset: 'openai', models: { m: { ...RATE, output: '1 sat' } } } },
    /usage\.models\.m\.output is not a price for tokens.*`150 msat\/1k tokens`/,
  ],
  'a model given away': [
    { ...TOKENS, usage: { preset: 'openai', models: { m: { ...RATE, input: 'free' } } } },
    /can not be given away/,
  ],
  'a model twice': [
    { ...TOKENS, usage: { preset: 'openai', models: { m: RATE, M: RATE } } },
    /usage\.models can not be read: the model `M` stands twice/,
  ],
  'other models without models': [
    { ...TOKENS, usage: { preset: 'openai', otherModels: RATE } },
    /there is no `models`/,
  ],
};

for (const [title, [service, message]] of Object.entries(REFUSED)) {
  test(`refused: ${title}`, () => assert.match(refusal(service), message));
}

test('a rate that can not be counted exactly is refused as a price, whatever it counts', () => {
  for (const per of ['9007199254740991 seconds', '9007199254740991 weeks', '0.0000000001 seconds']) {
    const price = `100 msat/${per}`;
    const services = [{ name: 'a', upstream: 'http://127.0.0.1:3000', price }];
    const parsed = fileSchema.safeParse({ services });
    if (parsed.success) assert.ok(metering({ price }).depositMsat > 0, per);
  }
  const services = [{ name: 'a', upstream: 'http://h', price: '100 msat/9007199254740991 seconds' }];
  assert.equal(fileSchema.safeParse({ services }).success, false);
});

test('no metered price, key or deposit breaks the check', () => {
  const amount = fc.constantFrom(
    '1 msat',
    '0.001 sat',
    '9007199254740991 msat',
    '9007199254740 sat',
    '100 sat',
  );
  const per = fc.constantFrom(
    's',
    'hour',
    '9007199254740 seconds',
    'byte',
    '1000 GB',
    'event',
    '1k tokens',
    'tokens',
  );
  const deposit = fc.constantFrom(
    undefined,
    '1 msat',
    '9007199254740991 msat',
    '10000 weeks',
    '900000 GB',
    '1M tokens',
  );
  fc.assert(
    fc.property(amount, per, deposit, (money, unit, sold) => {
      const { config } = read({ price: `${money}/${unit}`, ...(sold !== undefined && { deposit: sold }) });
      const [service] = config.services;
      assert.ok(service?.metering !== undefined && Number.isSafeInteger(service.metering.depositMsat));
      warnConfig(config);
    }),
  );
});

test('everything that is wrong is named at once', () => {
  assert.equal(read({ price: '10 sat', deposit: '1 sat', hold: '1s', count: 'both' }).findings.length, 3);
});

for (const [key, value] of Object.entries({
  deposit: '60',
  hold: '2h',
  slice: '1ms',
  pace: '2Mbps',
  streams: { max: 0 },
  usage: { json: 'a..b' },
})) {
  test(`the schema refuses ${key}: ${JSON.stringify(value)}`, () => {
    const services = [{ name: 'a', upstream: 'http://h', price: '1 sat/s', [key]: value }];
    assert.equal(fileSchema.safeParse({ services }).success, false);
  });
}

for (const pace of ['1bit/s', '2 Mbit', '0KB/s', '-1KB/s', '1e9KB/s', '2Mbit/min', '999GB/s']) {
  test(`${pace} is no pace`, () => {
    const services = [{ name: 'a', upstream: 'http://h', price: '1 sat/s', pace }];
    assert.equal(fileSchema.safeParse({ services }).success, false);
  });
}

test('a deposit that common clients do not pay, and a hold that proxies cut, are warned of', () => {
  const warnings = (service: Keys) => warnConfig(read(service).config);
  assert.deepEqual(warnings({ ...TIME, deposit: '1000 sat', hold: '59s' }), []);
  assert.match(
    warnings({ ...TIME, deposit: '1001 sat' })[0] ?? '',
    /deposit of 1001 sat, and common clients/,
  );
  assert.match(warnings({ ...TIME, hold: '60s' })[0] ?? '', /holds streams for 60 s, and many proxies/);
});

test('a deposit that does not cover what a request without a bound sets aside is warned of', () => {
  const warnings = (usage: NonNullable<ServiceInput['usage']>) =>
    warnConfig(read({ ...TOKENS, deposit: '10 sat', usage }).config);
  assert.match(warnings({ preset: 'openai' })[0] ?? '', /4096 tokens of output.*up to 12288 msat/);
  assert.deepEqual(warnings({ preset: 'openai', bound: 'rewrite' }), []);
  assert.deepEqual(warnings({ preset: 'openai', estimate: 1_000 }), []);
  const dear = { input: '1 sat/1k tokens', output: '50 sat/1k tokens' };
  assert.match(warnings({ preset: 'openai', estimate: 1_000, models: { 'x*': dear } })[0] ?? '', /50 sat/);
});

/** The one-line form. */
function line(...argv: readonly string[]): LoadedConfig {
  const flags = parseFlags(['--upstream', 'http://127.0.0.1:3000', ...argv]);
  return loadConfig({ flags, env: {}, cwd: '/nonexistent' });
}

test('one line of flags sells a stream', () => {
  const { config } = line('--price', '100 msat/second', '--deposit', '60s', '--hold', '30s', '--warn', '5s');
  const terms = config.services[0]?.metering;
  assert.deepEqual([terms?.depositMsat, terms?.holdMs, terms?.warnMs], [6_000, 30_000, 5_000]);
});

test('what is wrong with a flag is blamed on it', () => {
  const blamed = (...argv: readonly string[]): string => {
    try {
      line(...argv);
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    return assert.fail('nothing was refused');
  };
  assert.match(blamed('--price', '100 msat/second', '--deposit', '60'), /^--deposit: /);
  assert.match(blamed('--price', '10 sat', '--hold', '45s'), /^--hold: .*is for metered prices/);
  assert.match(blamed('--price', '100 msat/second', '--warn', 'soon'), /^--warn: .*is not a length of time/);
  assert.match(blamed('--price', '3 sat/1k tokens'), /^--price: .*in a file/);
});

test('--deposit, --hold and --warn go with --upstream, and never with a file', () => {
  for (const flag of ['--deposit', '--hold', '--warn']) {
    assert.throws(() => parseFlags([flag, '60s']), /goes with --upstream and --price/);
    assert.throws(() => parseFlags(['-c', 'f.yaml', flag, '60s']), /cannot be used with/);
  }
});
