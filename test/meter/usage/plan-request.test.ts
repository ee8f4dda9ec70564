import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  compileModelRates,
  type MeteredRequest,
  planRequest,
  type UsageTerms,
} from '../../../gateway/meter/usage/index.ts';
import { msat } from '../../../node/msat.ts';
import { PRICE, planned, preset, report, request } from './fixtures/terms.ts';

const CHAT = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] };
const OPENAI = preset('openai');
const REWRITES = preset('openai', { bound: 'rewrite' });

function refusal(terms: UsageTerms, json: unknown, over: Partial<MeteredRequest> = {}): string {
  const plan = planRequest(terms, request(terms, json, over));
  assert.equal(plan.kind, 'refused', inspect(plan));
  return plan.refusal.code;
}

function sent(terms: UsageTerms, json: unknown, over: Partial<MeteredRequest> = {}): Record<string, unknown> {
  const { body, headersToSet } = planned(terms, json, over);
  assert.equal(headersToSet['content-length'], String(body?.length));
  return JSON.parse(body?.toString('utf8') ?? '');
}

test('a report of one number reserves the estimate and touches nothing', () => {
  const body = Buffer.from('anything');
  const plan = planned(report({ kind: 'header', name: 'x-units' }), '', { method: 'PUT', body });
  assert.equal(plan.reserveMsat, 30);
  assert.equal(plan.body, body);
  assert.deepEqual(plan.headersToSet, {});
  const inBody = planned(report({ kind: 'json', path: ['n'] }), '', { body: undefined });
  assert.deepEqual(inBody.headersToSet, { 'accept-encoding': 'identity' });
  const poor = planRequest(
    report({ kind: 'header', name: 'x-units' }),
    request(OPENAI, '', { balanceMsat: msat(29) }),
  );
  assert.deepEqual(poor, { kind: 'insufficient', neededMsat: 30 });
});

test('a request reserves its bytes as input and its own bound as output', () => {
  const json = { ...CHAT, max_tokens: 100 };
  const bytes = JSON.stringify(json).length;
  assert.equal(planned(OPENAI, json).reserveMsat, (bytes + 100) * 3);
  assert.equal(
    planned(preset('openai', { inputBytesPerUnit: 4 }), json).reserveMsat,
    (Math.ceil(bytes / 4) + 100) * 3,
  );
});

test('a request without a bound reserves the estimate', () => {
  for (const bound of [
    {},
    { max_tokens: null },
    { max_tokens: -1 },
    { max_tokens: 0 },
    { max_tokens: '5' },
  ]) {
    const json = { ...CHAT, ...bound };
    assert.equal(
      planned(OPENAI, json).reserveMsat,
      (JSON.stringify(json).length + 4096) * 3,
      JSON.stringify(bound),
    );
  }
});

test('of two bounds the larger counts, and one that is none counts as the estimate', () => {
  const reserved = (bounds: object) => planned(OPENAI, { ...CHAT, ...bounds }).expected.reservedOutput;
  assert.equal(reserved({ max_tokens: 5, max_completion_tokens: 7 }), 7);
  assert.equal(reserved({ max_tokens: 5, max_completion_tokens: null }), 4096);
  assert.equal(reserved({ max_tokens: 5000, max_completion_tokens: null }), 5000);
  assert.equal(reserved({ max_tokens: 1e300 }), OPENAI.capUnits);
});

test('several answers reserve as many bounds', () => {
  assert.equal(planned(OPENAI, { ...CHAT, max_tokens: 10, n: 3 }).expected.reservedOutput, 30);
  const path = '/v1/completions';
  const completions = (json: object) =>
    planned(OPENAI, { max_tokens: 10, ...json }, { path }).expected.reservedOutput;
  assert.equal(completions({ prompt: 'x', n: 2, best_of: 5 }), 50);
  assert.equal(completions({ prompt: ['x', 'y'], n: 2 }), 40);
  assert.equal(completions({ prompt: [1, 2, 3] }), 10);
  for (const n of [0, -1, 1.5, '2', 1e9]) assert.equal(refusal(OPENAI, { ...CHAT, n }), 'invalid');
});

test('embeddings reserve no output', () => {
  const plan = planned(REWRITES, { model: 'e', input: 'text' }, { path: '/v1/embeddings' });
  assert.equal(plan.expected.reservedOutput, 0);
  assert.equal(plan.body?.toString(), '{"model":"e","input":"text"}');
});

test('a bound is lowered to what the balance buys, in the bytes of its number alone', () => {
  const text = '{ "seed": 12345678901234567890, "max_tokens" : 1000 ,"messages":[{"content":"\\u0041"}]}';
  const balanceMsat = msat((text.length + 40) * 3 + 2);
  const plan = planned(REWRITES, text, { balanceMsat });
  assert.equal(plan.body?.toString(), text.replace('1000', '40'));
  assert.equal(plan.reserveMsat, (text.length + 40) * 3);
  assert.equal(plan.neededMsat, (text.length + 16) * 3);
});

test('every bound that is too high is lowered, for each answer', () => {
  const json = { max_completion_tokens: null, max_tokens: 10, n: 2 };
  const bytes = JSON.stringify(json).length;
  const out = sent(REWRITES, json, { balanceMsat: msat((bytes + 61) * 3) });
  assert.deepEqual(out, { max_completion_tokens: 30, max_tokens: 10, n: 2 });
});

test('a request without a bound is given one: what is reserved is what can come', () => {
  assert.equal(sent(REWRITES, CHAT)['max_completion_tokens'], 4096);
  const named = preset('openai', { bound: 'rewrite', boundField: 'max_tokens' });
  assert.equal(sent(named, CHAT)['max_tokens'], 4096);
  const responses = sent(REWRITES, { model: 'm', input: 'x' }, { path: '/v1/responses' });
  assert.equal(responses['max_output_tokens'], 4096);
});

test('a bound within the balance stays as it is', () => {
  const json = { ...CHAT, max_tokens: 50 };
  assert.equal(planned(REWRITES, json).body?.toString(), JSON.stringify(json));
});

test('a balance that buys no sensible answer is told what is needed', () => {
  const json = { ...CHAT, max_tokens: 1000 };
  const bytes = JSON.stringify(json).length;
  const plan = planRequest(REWRITES, request(REWRITES, json, { balanceMsat: msat((bytes + 15) * 3) }));
  assert.deepEqual(plan, { kind: 'insufficient', neededMsat: (bytes + 16) * 3 });
  const whole = planRequest(OPENAI, request(OPENAI, json, { balanceMsat: msat((bytes + 999) * 3) }));
  assert.deepEqual(whole, { kind: 'insufficient', neededMsat: (bytes + 1000) * 3 });
});

test('a request that nobody has paid for yet is planned whole, to be quoted', () => {
  const plan = planned(REWRITES, { ...CHAT, max_tokens: 1000 }, { balanceMsat: undefined });
  assert.equal(plan.reserveMsat - plan.neededMsat, (1000 - 16) * 3);
});

test('anthropic: a thinking budget must fit below the bound', () => {
  const terms = preset('anthropic', { bound: 'rewrite' });
  const json = {
    model: 'c',
    max_tokens: 8000,
    thinking: { type: 'enabled', budget_tokens: 2000 },
    messages: [],
  };
  const bytes = JSON.stringify(json).length;
  assert.equal(sent(terms, json, { balanceMsat: msat((bytes + 2001) * 3) })['max_tokens'], 2001);
  const short = planRequest(terms, request(terms, json, { balanceMsat: msat((bytes + 2000) * 3) }));
  assert.equal(short.kind, 'insufficient');
});

test('anthropic: a bound of 0 asks for nothing and stays', () => {
  const json = { model: 'c', max_tokens: 0, messages: [] };
  const plan = planned(preset('anthropic', { bound: 'rewrite' }), json);
  assert.equal(plan.expected.reservedOutput, 0);
  assert.equal(plan.body?.toString(), JSON.stringify(json));
});

test('ollama: the bound stands in options, and is put there', () => {
  const terms = preset('ollama', { bound: 'rewrite' });
  const ask = (options: unknown) =>
    sent(terms, { model: 'l', ...(options === undefined ? {} : { options }) })['options'];
  assert.deepEqual(ask(undefined), { num_predict: 4096 });
  assert.deepEqual(ask(null), { num_predict: 4096 });
  assert.deepEqual(ask({}), { num_predict: 4096 });
  assert.deepEqual(ask({ seed: 1 }), { num_predict: 4096, seed: 1 });
  assert.deepEqual(ask({ num_predict: -1, seed: 1 }), { num_predict: 4096, seed: 1 });
  assert.deepEqual(ask({ num_predict: 0 }), { num_predict: 4096 });
  assert.deepEqual(ask({ num_predict: 7 }), { num_predict: 7 });
  assert.equal(refusal(terms, { model: 'l', options: [] }), 'invalid');
});

test('a stream is asked for its usage, and the chunk is taken out unless the client wanted it', () => {
  const ask = (options: unknown) => {
    const json = { ...CHAT, stream: true, ...(options === undefined ? {} : { stream_options: options }) };
    const plan = planned(OPENAI, json);
    assert.equal(plan.expected.form, 'sse');
    return [JSON.parse(plan.body?.toString() ?? '')['stream_options'], plan.expected.removesUsageChunk];
  };
  assert.deepEqual(ask(undefined), [{ include_usage: true }, true]);
  assert.deepEqual(ask(null), [{ include_usage: true }, true]);
  assert.deepEqual(ask({}), [{ include_usage: true }, true]);
  assert.deepEqual(ask({ include_obfuscation: false }), [
    { include_usage: true, include_obfuscation: false },
    true,
  ]);
  assert.deepEqual(ask({ include_usage: false }), [{ include_usage: true }, true]);
  assert.deepEqual(ask({ include_usage: null }), [{ include_usage: true }, true]);
  assert.deepEqual(ask({ include_usage: true }), [{ include_usage: true }, false]);
  assert.equal(refusal(OPENAI, { ...CHAT, stream: true, stream_options: 'x' }), 'invalid');
});

test('only streams of completions are asked: the Responses API refuses the option', () => {
  const json = { model: 'm', input: 'x', stream: true };
  const plan = planned(OPENAI, json, { path: '/v1/responses' });
  assert.equal(plan.body?.toString(), JSON.stringify(json));
  assert.equal(plan.expected.removesUsageChunk, false);
  assert.equal(planned(OPENAI, CHAT).body?.toString(), JSON.stringify(CHAT));
});

test('ollama streams unless it is told not to', () => {
  const terms = preset('ollama');
  assert.equal(planned(terms, { model: 'l' }).expected.form, 'lines');
  assert.equal(planned(terms, { model: 'l', stream: false }).expected.form, 'json');
});

test('work in the background is refused: its usage comes with a later request', () => {
  assert.equal(
    refusal(OPENAI, { model: 'm', input: 'x', background: true }, { path: '/v1/responses' }),
    'invalid',
  );
  planned(OPENAI, { model: 'm', input: 'x', background: false }, { path: '/v1/responses' });
});

test('only the endpoints of a preset are sold', () => {
  for (const path of [
    '/v1/models',
    '/v1/files',
    '/v1/messages/count_tokens',
    '/v1/images/generations',
    '/',
  ]) {
    assert.equal(refusal(OPENAI, CHAT, { path }), 'not-metered');
  }
  assert.equal(refusal(preset('anthropic'), CHAT, { path: '/v1/messages/batches' }), 'not-metered');
  assert.equal(refusal(preset('ollama'), CHAT, { path: '/api/pull' }), 'not-metered');
  assert.equal(refusal(OPENAI, CHAT, { method: 'GET' }), 'not-metered');
  planned(OPENAI, CHAT, { path: '/openai/deployments/x/chat/completions' });
  planned(OPENAI, CHAT, { path: '/v1/chat/completions/' });
});

test('a body that is not a plain JSON object is refused', () => {
  for (const body of ['', '[]', '"x"', 'null', '{', '\ufeff{}', '{"a":NaN}'])
    assert.equal(refusal(OPENAI, body), 'invalid', body);
  assert.equal(refusal(OPENAI, '', { body: undefined }), 'invalid');
  assert.equal(
    refusal(OPENAI, '', { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }),
    'invalid',
  );
  assert.equal(refusal(OPENAI, `{"a":${'['.repeat(200)}${']'.repeat(200)}}`), 'invalid');
  assert.equal(refusal(OPENAI, `{"a":${'['.repeat(1_000_000)}`), 'invalid');
  assert.equal(refusal(OPENAI, CHAT, { headers: { 'content-encoding': 'gzip' } }), 'encoded');
  assert.equal(refusal(preset('openai', { maxRequestBytes: 10 }), CHAT), 'too-large');
});

test('what another parser could read otherwise is refused', () => {
  for (const body of [
    '{"model":"dear","model":"cheap"}',
    '{"model":"cheap","Model":"dear"}',
    '{"model":"cheap","mod\\u0065l":"dear"}',
    '{"max_to\u212aens":1}',
    '{"\u017ftream":true}',
    '{"max_tokens":1,"max_tokens":1000000}',
    '{"stream":"true"}',
    '{"stream":1}',
    '{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
  ]) {
    assert.equal(refusal(OPENAI, body), 'invalid', body);
  }
  assert.equal(refusal(preset('ollama'), '{"options":{"num_predict":1,"Num_predict":9}}'), 'invalid');
  assert.equal(refusal(preset('ollama'), '{"Options":{"num_predict":1}}'), 'invalid');
});

const MODELS = compileModelRates({
  'gpt-4o-mini': { input: { amountMsat: msat(1), per: 1 }, output: { amountMsat: msat(2), per: 1 } },
  'gpt-4*': { input: { amountMsat: msat(10), per: 1 }, output: { amountMsat: msat(20), per: 1 } },
  llama3: { input: { amountMsat: msat(100), per: 1 }, output: { amountMsat: msat(200), per: 1 } },
});

test('rates go by the model: its name, else its longest beginning', () => {
  const cost = (model: string) =>
    planned(preset('openai', { models: MODELS }), { model, max_tokens: 1 }).reserveMsat;
  const bytes = (model: string) => JSON.stringify({ model, max_tokens: 1 }).length;
  assert.equal(cost('gpt-4o-mini'), bytes('gpt-4o-mini') + 2);
  assert.equal(cost('GPT-4o-Mini'), bytes('gpt-4o-mini') + 2);
  assert.equal(cost('gpt-4o'), bytes('gpt-4o') * 10 + 20);
  assert.equal(cost('llama3:latest'), bytes('llama3:latest') * 100 + 200);
});

test('a model that has no rate is refused before it is paid for, unless the others have one', () => {
  const terms = preset('openai', { models: MODELS });
  for (const model of ['llama3:70b', 'o1', 'gpt-3']) assert.equal(refusal(terms, { model }), 'unknown-model');
  assert.equal(refusal(terms, {}), 'unknown-model');
  for (const model of ['', ' gpt-4', 'gpt-4 ', 'a\nb', 5, {}, 'x'.repeat(300)])
    assert.equal(refusal(terms, { model }), 'invalid');
  const others = compileModelRates({}, { input: PRICE, output: PRICE });
  assert.equal(
    planned(preset('openai', { models: others }), { model: 'o1', max_tokens: 1 }).expected.rates,
    others.others,
  );
});

test('a table of models with a name that stands twice or is no name is refused', () => {
  const card = { input: PRICE, output: PRICE };
  for (const names of [['a', 'A'], ['*'], ['a*b'], ['']]) {
    assert.throws(() => compileModelRates(Object.fromEntries(names.map((name) => [name, card]))), RangeError);
  }
});

test('an image inside the request reserves less than its bytes, one outside a fixed amount', () => {
  const plain = planned(OPENAI, { messages: [{ content: [{ image_url: { url: '' } }] }], max_tokens: 1 });
  const withUrl = (url: string) =>
    planned(OPENAI, { messages: [{ content: [{ image_url: { url } }] }], max_tokens: 1 });
  const data = `data:image/png;base64,${'iVBOR'.repeat(20_000)}`;
  const inside = withUrl(data).reserveMsat - plain.reserveMsat;
  assert.equal(inside, 3 * Math.ceil(data.length / 32));
  const address = 'https://example.com/a.png';
  assert.equal(withUrl(address).reserveMsat - plain.reserveMsat, 3 * (4_000 + address.length));
  const text = 'plain words '.repeat(5_000);
  assert.equal(withUrl(text).reserveMsat - plain.reserveMsat, 3 * text.length);
});

test('an earlier response that is built upon is reserved too', () => {
  const path = '/v1/responses';
  const json = { input: 'x', max_output_tokens: 16 };
  const more = { ...json, previous_response_id: 'r' };
  const difference = JSON.stringify(more).length - JSON.stringify(json).length;
  const reserve = (body: object) => planned(OPENAI, body, { path }).reserveMsat;
  assert.equal(reserve(more) - reserve(json), 3 * (4_000 + difference));
});

test('any request is planned so that what is reserved is covered, and what is sent is what was asked', () => {
  const json = fc.record(
    {
      model: fc.constantFrom('gpt-4o-mini', 'gpt-4o', 'x'),
      stream: fc.boolean(),
      stream_options: fc.oneof(
        fc.constant(null),
        fc.record({ include_usage: fc.boolean(), 'a"\\b': fc.jsonValue() }, { requiredKeys: [] }),
      ),
      max_tokens: fc.oneof(fc.nat(5_000), fc.integer(), fc.constant(null), fc.double()),
      max_completion_tokens: fc.oneof(fc.nat(5_000), fc.constant(null)),
      messages: fc.array(fc.record({ content: fc.string({ unit: 'grapheme' }) }), { maxLength: 3 }),
      'odd ":{[,] key': fc.jsonValue(),
    },
    { requiredKeys: ['model'] },
  );
  const OWN = ['stream_options', 'max_tokens', 'max_completion_tokens'];
  fc.assert(
    fc.property(
      json,
      fc.nat(100_000),
      fc.constantFrom('reserve', 'rewrite'),
      fc.constantFrom(undefined, 2),
      (asked, balance, bound, indent) => {
        const terms = preset('openai', { bound });
        const text = JSON.stringify(asked, undefined, indent);
        const plan = planRequest(terms, request(terms, text, { balanceMsat: msat(balance) }));
        if (plan.kind !== 'planned') {
          assert.equal(plan.kind, 'insufficient');
          assert.ok(plan.neededMsat > balance);
          return;
        }
        assert.ok(plan.reserveMsat <= balance && plan.neededMsat <= balance);
        const out: Record<string, unknown> = JSON.parse(plan.body?.toString() ?? '');
        const before: Record<string, unknown> = JSON.parse(text);
        for (const key of new Set([...Object.keys(out), ...Object.keys(before)])) {
          if (!OWN.includes(key)) assert.deepEqual(out[key], before[key]);
        }
        if (asked.stream === true)
          assert.match(JSON.stringify(out['stream_options']), /"include_usage":true/);
        if (bound === 'reserve') return;
        const bounds = [out['max_tokens'], out['max_completion_tokens']].filter(
          (value) => value !== undefined,
        );
        assert.ok(bounds.length > 0);
        for (const value of bounds)
          assert.ok(typeof value === 'number' && value > 0 && value <= plan.expected.reservedOutput);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('any bytes at all are planned or refused, never thrown at', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
    fc
      .dictionary(
        fc.constantFrom(
          'model',
          'stream',
          'options',
          'n',
          'max_tokens',
          'stream_options',
          'thinking',
          'prompt',
          '__proto__',
        ),
        fc.jsonValue(),
      )
      .map((value) => Buffer.from(JSON.stringify(value))),
  );
  fc.assert(
    fc.property(
      noise,
      fc.constantFrom('openai', 'anthropic', 'ollama'),
      fc.constantFrom('rewrite', 'reserve'),
      (body, name, bound) => {
        const terms = preset(name, { bound, models: MODELS });
        planRequest(terms, request(terms, '', { body }));
        const open = preset(name, { bound });
        planRequest(open, request(open, '', { body }));
      },
    ),
    { numRuns: 2_000 },
  );
});
