import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compileModelRates, UsageReader } from '../../../gateway/meter/usage/index.ts';
import { msat } from '../../../node/msat.ts';
import * as claude from './fixtures/anthropic.ts';
import { anthropicAnswer } from './fixtures/anthropic.ts';
import { ollamaAnswer } from './fixtures/ollama.ts';
import * as gpt from './fixtures/openai.ts';
import { openaiAnswer } from './fixtures/openai.ts';
import { cut, splitEverywhere } from './fixtures/split.ts';
import { planned, preset, report } from './fixtures/terms.ts';
import { type Answer, read, type Seen, send, startUpstream, type Upstream } from './fixtures/upstream.ts';

const OPENAI = preset('openai');
const CHAT = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] };
const STREAM = { ...CHAT, stream: true };
const OWN = { ...STREAM, stream_options: { include_usage: true } };
const CHAT_PATH = '/v1/chat/completions';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

let upstream: Upstream;
let answer: (seen: Seen) => Answer;

before(async () => {
  upstream = await startUpstream((seen) => answer(seen));
});
after(() => upstream.close());

/** What a stream looks like to a client that asked for no usage: without the chunk, but for the `usage: null` on the others. */
const WITHOUT_USAGE_CHUNK = [...gpt.contentEvents({ usage: null }), gpt.DONE].join('');
/** Text of {@link gpt.WORDS}: one unit at least for each piece, a unit for every 4 bytes. */
const PRODUCED = 7;

test('openai: a chat completion is billed the tokens it reports', async () => {
  answer = openaiAnswer;
  const { bill, body } = await send(upstream, CHAT_PATH, planned(OPENAI, CHAT));
  assert.deepEqual(bill, {
    source: 'reported',
    usage: { input: 19, cachedInput: 0, cacheWrite: 0, output: 10 },
    units: 29,
    costMsat: 87,
    malformed: false,
  });
  assert.deepEqual(JSON.parse(body), gpt.completion(gpt.USAGE));
  assert.equal(upstream.seen.at(-1)?.headers['accept-encoding'], 'identity');
});

test('openai: a stream is billed the tokens of its last chunk, which the client does not see', async () => {
  answer = openaiAnswer;
  const { bill, body } = await send(upstream, CHAT_PATH, planned(OPENAI, STREAM), {
    'accept-encoding': 'gzip, br',
  });
  assert.equal(bill.costMsat, 87);
  assert.equal(bill.source, 'reported');
  assert.equal(body, WITHOUT_USAGE_CHUNK);
});

test('openai: a client that asked for the usage chunk gets it', async () => {
  answer = openaiAnswer;
  const { bill, body } = await send(upstream, CHAT_PATH, planned(OPENAI, OWN));
  assert.equal(bill.costMsat, 87);
  assert.equal(body, [...gpt.contentEvents({ usage: null }), gpt.usageEvent(), gpt.DONE].join(''));
});

test('openai: the running total grows with what was produced, until the report says it exactly', async () => {
  answer = openaiAnswer;
  const plan = planned(OPENAI, STREAM);
  const { running } = await send(upstream, CHAT_PATH, plan);
  const input = plan.expected.estimatedInput;
  assert.ok(running.slice(0, -1).every(([cost]) => cost >= input * 3));
  assert.deepEqual(running.at(-1), [87, 87]);
});

test('openai: an abandoned stream is billed what it produced', async () => {
  answer = () => ({ headers: gpt.SSE, pieces: gpt.contentEvents({ usage: null }).slice(0, 4), breaks: true });
  const plan = planned(OPENAI, STREAM);
  const { bill, complete } = await send(upstream, CHAT_PATH, plan);
  assert.equal(complete, false);
  assert.equal(bill.source, 'estimated');
  assert.deepEqual(bill.usage, {
    input: plan.expected.estimatedInput,
    cachedInput: 0,
    cacheWrite: 0,
    output: 4,
  });
});

test('openai: a stream whose report is missing is billed what it produced', async () => {
  answer = () => ({ headers: gpt.SSE, pieces: [...gpt.contentEvents(), gpt.DONE] });
  const { bill } = await send(upstream, CHAT_PATH, planned(OPENAI, STREAM));
  assert.equal(bill.source, 'estimated');
  assert.equal(bill.usage.output, PRODUCED);
});

test('openai: an answer whose report is missing is billed by its length, and never over its bound', async () => {
  answer = () => ({ headers: gpt.JSON_TYPE, pieces: [JSON.stringify(gpt.completion(undefined))] });
  const { bill, body } = await send(upstream, CHAT_PATH, planned(OPENAI, CHAT));
  assert.equal(bill.source, 'estimated');
  assert.equal(bill.usage.output, Math.ceil(body.length / 4));
  const bounded = await send(upstream, CHAT_PATH, planned(OPENAI, { ...CHAT, max_tokens: 5 }));
  assert.equal(bounded.bill.usage.output, 5);
});

test('openai: embeddings are billed their input alone', async () => {
  answer = openaiAnswer;
  const { bill } = await send(
    upstream,
    '/v1/embeddings',
    planned(OPENAI, { model: 'e', input: 'x' }, { path: '/v1/embeddings' }),
  );
  assert.deepEqual([bill.source, bill.usage.input, bill.usage.output], ['reported', 8, 0]);
});

test('openai: cached tokens are a part of the input', async () => {
  answer = openaiAnswer;
  for (const stream of [true, false]) {
    const plan = planned(OPENAI, { model: 'm', input: 'x', stream }, { path: '/v1/responses' });
    const { bill } = await send(upstream, '/v1/responses', plan);
    assert.equal(bill.source, 'reported');
    assert.deepEqual(bill.usage, { input: 7, cachedInput: 30, cacheWrite: 0, output: 11 });
  }
});

test('openai: a total alone counts as output', async () => {
  const { bill } = await read(planned(OPENAI, CHAT), jsonAnswer({ choices: [], usage: { total_tokens: 9 } }));
  assert.deepEqual([bill.source, bill.usage.input, bill.usage.output], ['reported', 0, 9]);
});

test('anthropic: a stream is billed its start and its last totals', async () => {
  answer = anthropicAnswer;
  const plan = planned(preset('anthropic'), { model: 'claude', max_tokens: 100, messages: [], stream: true });
  const { bill, body, running } = await send(upstream, '/v1/messages', plan);
  assert.equal(bill.source, 'reported');
  assert.deepEqual(bill.usage, { input: 25, cachedInput: 1000, cacheWrite: 100, output: 15 });
  assert.equal(body, [...claude.OPENING, ...claude.CLOSING].join(''));
  assert.deepEqual(running.at(-1), [1140 * 3, 1140 * 3]);
});

test('anthropic: a whole message is billed its usage', async () => {
  answer = anthropicAnswer;
  const { bill } = await send(
    upstream,
    '/v1/messages',
    planned(preset('anthropic'), { model: 'c', max_tokens: 9, messages: [] }),
  );
  assert.equal(bill.source, 'reported');
  assert.deepEqual(bill.usage, { input: 25, cachedInput: 1000, cacheWrite: 100, output: 15 });
});

test('anthropic: an abandoned stream is billed its reported input and what it produced', async () => {
  answer = () => ({ headers: claude.SSE, pieces: claude.OPENING, breaks: true });
  const plan = planned(preset('anthropic'), { model: 'c', max_tokens: 100, messages: [], stream: true });
  const { bill, running } = await send(upstream, '/v1/messages', plan);
  assert.equal(bill.source, 'estimated');
  assert.deepEqual(bill.usage, { input: 25, cachedInput: 1000, cacheWrite: 100, output: 1 + 2 + 1 + 2 });
  assert.equal(running.at(-1)?.[1], 1126 * 3);
});

test('anthropic: totals in message_delta replace those of the start, and null says nothing', async () => {
  const delta = (usage: object) => claude.event('message_delta', { delta: {}, usage });
  const pieces = [
    claude.OPENING[0] ?? '',
    delta({ output_tokens: 5, input_tokens: null }),
    delta({ output_tokens: 20, input_tokens: 40, cache_read_input_tokens: 1200 }),
    delta({ output_tokens: 3 }),
  ].map((text) => Buffer.from(text));
  const plan = planned(preset('anthropic'), { model: 'c', max_tokens: 100, messages: [], stream: true });
  const { bill } = await read(plan, { headers: ['content-type', 'text/event-stream'], pieces });
  assert.deepEqual(bill.usage, { input: 40, cachedInput: 1200, cacheWrite: 100, output: 20 });
});

test('ollama: lines and whole answers of chat and generate are billed their counts', async () => {
  answer = ollamaAnswer;
  for (const path of ['/api/chat', '/api/generate']) {
    for (const stream of [undefined, true, false]) {
      const plan = planned(
        preset('ollama'),
        { model: 'llama3.2', prompt: 'x', ...(stream === undefined ? {} : { stream }) },
        { path },
      );
      const { bill } = await send(upstream, path, plan);
      assert.deepEqual(
        [bill.source, bill.usage.input, bill.usage.output],
        ['reported', 26, 282],
        `${path} ${stream}`,
      );
    }
  }
});

test('ollama: an embedding is billed its input', async () => {
  answer = ollamaAnswer;
  const plan = planned(preset('ollama'), { model: 'm', input: 'x' }, { path: '/api/embed' });
  const { bill } = await send(upstream, '/api/embed', plan);
  assert.deepEqual([bill.source, bill.usage.input, bill.usage.output], ['reported', 8, 0]);
});

test('ollama: a count that is left out is 0 when the other is there, and an end without counts is estimated', async () => {
  const plan = planned(preset('ollama'), { model: 'm' });
  const lines = (...all: object[]) => ({
    headers: ['content-type', 'application/x-ndjson'],
    pieces: [Buffer.from(all.map((line) => JSON.stringify(line)).join('\n'))],
  });
  const word = { message: { content: 'word' }, done: false };
  const cached = await read(plan, lines(word, { message: { content: '' }, done: true, eval_count: 4 }));
  assert.deepEqual(
    [cached.bill.source, cached.bill.usage.input, cached.bill.usage.output],
    ['reported', 0, 4],
  );
  const silent = await read(plan, lines(word, word, { message: { content: '!' }, done: true }));
  assert.deepEqual([silent.bill.source, silent.bill.usage.output], ['estimated', 3]);
  const load = await read(plan, lines({ message: { content: '' }, done: true, done_reason: 'load' }));
  assert.deepEqual([load.bill.source, load.bill.units], ['reported', 0]);
});

test('errors are free: by status, by error object, and in the middle of a stream', async () => {
  const error = { error: { message: 'overloaded', type: 'server_error' } };
  const cases: [ReturnType<typeof preset>, object, Answer][] = [
    [
      OPENAI,
      CHAT,
      { status: 429, headers: gpt.JSON_TYPE, pieces: [JSON.stringify({ ...error, usage: gpt.USAGE })] },
    ],
    [OPENAI, CHAT, { status: 302, headers: { location: '/' }, pieces: [] }],
    [OPENAI, CHAT, { headers: gpt.JSON_TYPE, pieces: [JSON.stringify(error)] }],
    [OPENAI, STREAM, { headers: gpt.SSE, pieces: [...gpt.contentEvents(), gpt.event(error)] }],
    [
      preset('anthropic'),
      { stream: true, max_tokens: 9 },
      { headers: claude.SSE, pieces: [...claude.OPENING, claude.event('error', error)] },
    ],
    [
      preset('ollama'),
      {},
      {
        headers: { 'content-type': 'application/x-ndjson' },
        pieces: ['{"response":"Yes","done":false}\n{"error":"broke"}\n'],
      },
    ],
  ];
  for (const [terms, json, given] of cases) {
    answer = () => given;
    const plan = planned(terms, json);
    const { bill, body } = await send(upstream, '/', plan);
    assert.deepEqual([bill.source, bill.costMsat, bill.units], ['free', 0, 0]);
    assert.equal(body, given.pieces.join(''));
  }
});

test('an `error` of null is no error', async () => {
  const { bill } = await read(planned(OPENAI, CHAT), jsonAnswer({ error: null, usage: gpt.USAGE }));
  assert.equal(bill.costMsat, 87);
});

for (const [name, compress] of [
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`an upstream that sends ${name} unasked is read on a copy, and the client gets its bytes`, async () => {
    const text = [...gpt.contentEvents({ usage: null }), gpt.usageEvent(), gpt.DONE].join('');
    const encoded = compress(Buffer.from(text));
    answer = () => ({
      headers: { ...gpt.SSE, 'content-encoding': name },
      pieces: cut(encoded, [1, 20, 100]),
    });
    const { bill, bytes } = await send(upstream, CHAT_PATH, planned(OPENAI, STREAM));
    assert.deepEqual([bill.source, bill.costMsat], ['reported', 87]);
    assert.deepEqual(bytes, encoded);
  });

  test(`${name} that breaks off is billed what could be read, or the estimate`, async () => {
    const text = [...gpt.contentEvents({ usage: null })].join('');
    const encoded = compress(Buffer.from(text));
    const headers = { ...gpt.SSE, 'content-encoding': name };
    const plan = planned(OPENAI, STREAM);
    answer = () => ({ headers, pieces: [encoded.subarray(0, 12)], breaks: true });
    assert.equal((await send(upstream, CHAT_PATH, plan)).bill.source, 'estimated');
    answer = () => ({ headers, pieces: ['this is not compressed at all'] });
    const { bill } = await send(upstream, CHAT_PATH, plan);
    assert.deepEqual([bill.source, bill.usage.output], ['estimated', 4096]);
  });
}

test('an encoding that nobody knows is billed the estimate, or the bound when that is less', async () => {
  answer = () => ({ headers: { ...gpt.JSON_TYPE, 'content-encoding': 'gzip, br' }, pieces: ['xx'] });
  assert.equal((await send(upstream, CHAT_PATH, planned(OPENAI, CHAT))).bill.usage.output, 4096);
  assert.equal(
    (await send(upstream, CHAT_PATH, planned(OPENAI, { ...CHAT, max_tokens: 7 }))).bill.usage.output,
    7,
  );
});

test('a compression bomb is given up', async () => {
  const bomb = gzipSync(Buffer.alloc(80_000_000, 0x20));
  answer = () => ({ headers: { ...gpt.JSON_TYPE, 'content-encoding': 'gzip' }, pieces: [bomb] });
  const { bill, bytes } = await send(upstream, CHAT_PATH, planned(OPENAI, CHAT));
  assert.deepEqual([bill.source, bill.usage.output], ['estimated', 4096]);
  assert.equal(bytes.length, bomb.length);
});

test('a stream with a length announced keeps every byte of it', async () => {
  const text = [...gpt.contentEvents(), gpt.usageEvent(), gpt.DONE].join('');
  answer = () => ({
    headers: { ...gpt.SSE, 'content-length': String(Buffer.byteLength(text)) },
    pieces: [text],
  });
  const { bill, body } = await send(upstream, CHAT_PATH, planned(OPENAI, STREAM));
  assert.equal(bill.costMsat, 87);
  assert.equal(body, text);
});

test('what only resembles the usage chunk stays', async () => {
  const azure = gpt.event({ choices: [], prompt_filter_results: [{ prompt_index: 0 }] });
  const last = gpt.event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: gpt.USAGE });
  const strange = 'data: {"choices":[],"usage":null}\n\n: keep-alive\n\nevent: x\n\n';
  answer = () => ({ headers: gpt.SSE, pieces: [azure, last, strange, gpt.usageEvent(), gpt.DONE] });
  const { body } = await send(upstream, CHAT_PATH, planned(OPENAI, STREAM));
  assert.equal(body, azure + last + strange + gpt.DONE);
});

for (const eol of ['\n', '\r\n']) {
  test(`at every split of a stream with ${JSON.stringify(eol)} the client sees the same bytes and pays the same`, async () => {
    const text = [...gpt.contentEvents({ usage: null }).slice(0, 2), gpt.usageEvent(), gpt.DONE]
      .join('')
      .replaceAll('\n', eol);
    const expected = [...gpt.contentEvents({ usage: null }).slice(0, 2), gpt.DONE]
      .join('')
      .replaceAll('\n', eol);
    const plan = planned(OPENAI, STREAM);
    for (const pieces of splitEverywhere(Buffer.from(text))) {
      const { body, bill } = await read(plan, { headers: ['Content-Type', 'text/event-stream'], pieces });
      assert.equal(body, expected);
      assert.equal(bill.costMsat, 87);
    }
  });
}

test('reports that are no counts bill the estimate and are marked', async () => {
  for (const bad of [-5, '10', true, [], {}, 'NaN']) {
    const { bill } = await read(
      planned(OPENAI, CHAT),
      jsonAnswer({ usage: { prompt_tokens: 19, completion_tokens: bad } }),
    );
    assert.deepEqual([bill.source, bill.malformed], ['estimated', true], String(bad));
    assert.ok(bill.usage.output > 0 && bill.usage.output <= 4096);
  }
  for (const usage of ['all of it', 7, [1]]) {
    const { bill } = await read(planned(OPENAI, CHAT), jsonAnswer({ usage }));
    assert.equal(bill.source, 'estimated');
  }
});

test('a report over the cap is billed at the cap and marked', async () => {
  for (const huge of ['2000001', '1e15', '1e999', '99999999999999999999999999']) {
    const text = `{"usage":{"prompt_tokens":19,"completion_tokens":${huge}}}`;
    const { bill } = await read(planned(OPENAI, CHAT), { headers: JSON_HEAD, pieces: [Buffer.from(text)] });
    assert.deepEqual([bill.source, bill.usage.input, bill.usage.output], ['capped', 19, 2_000_000]);
    assert.equal(bill.costMsat, 2_000_019 * 3);
  }
});

test('an answer that is no JSON, or ends in the middle of it, is estimated', async () => {
  for (const text of ['<html>', '{"usage":{"prompt_tokens":19,"completion_tok', '', 'null', '[]']) {
    const { bill } = await read(planned(OPENAI, CHAT), { headers: JSON_HEAD, pieces: [Buffer.from(text)] });
    assert.equal(bill.source, 'estimated', text);
  }
});

test('a header says what was used', async () => {
  const terms = report({ kind: 'header', name: 'x-images' });
  const bill = async (headers: Record<string, string>, status = 200) => {
    answer = () => ({ status, headers, pieces: ['body'] });
    const { bill: made } = await send(upstream, '/', planned(terms, ''));
    return [made.source, made.units, made.malformed];
  };
  assert.deepEqual(await bill({ 'X-Images': '4' }), ['reported', 4, false]);
  assert.deepEqual(await bill({ 'X-Images': '2.5' }), ['reported', 3, false]);
  assert.deepEqual(await bill({ 'X-Images': '0' }), ['reported', 0, false]);
  assert.deepEqual(await bill({}), ['estimated', 10, false]);
  assert.deepEqual(await bill({ 'X-Images': '' }), ['estimated', 10, false]);
  for (const bad of ['-1', 'NaN', 'Infinity', '1e3', '0x10', '1, 2', 'four']) {
    assert.deepEqual(await bill({ 'X-Images': bad }), ['estimated', 10, true], bad);
  }
  assert.deepEqual(await bill({ 'X-Images': '9'.repeat(300) }), ['capped', 1_000, false]);
  assert.deepEqual(await bill({ 'X-Images': '4' }, 500), ['free', 0, false]);
});

test('a trailer says what was used', async () => {
  const terms = report({ kind: 'trailer', name: 'x-images' });
  answer = () => ({ headers: {}, pieces: ['a', 'b'], trailers: { 'X-Images': '6' } });
  assert.deepEqual((await send(upstream, '/', planned(terms, ''))).bill.units, 6);
  answer = () => ({ headers: {}, pieces: ['a', 'b'] });
  assert.deepEqual((await send(upstream, '/', planned(terms, ''))).bill.source, 'estimated');
});

test('a number in the body says what was used', async () => {
  const terms = report({ kind: 'json', path: ['data', 0, 'seconds'] });
  const bill = async (body: unknown) => (await read(planned(terms, ''), jsonAnswer(body))).bill;
  assert.equal((await bill({ data: [{ seconds: 7.2 }] })).units, 8);
  assert.equal((await bill({ data: [] })).source, 'estimated');
  assert.equal((await bill({ error: { code: 1 }, data: [] })).source, 'free');
  assert.equal((await bill({ error: { code: 0 }, data: [{ seconds: 3 }] })).units, 3);
});

test('the last event that has the number says what was used, and each of them what was used so far', async () => {
  const terms = report({ kind: 'sse', path: ['total'] });
  const pieces = [{ total: 1 }, { x: 1 }, { total: 5 }, { total: 4 }].map((data) => gpt.event(data));
  answer = () => ({ headers: gpt.SSE, pieces, breaks: true });
  const { bill, running, body } = await send(upstream, '/', planned(terms, ''));
  assert.deepEqual([bill.source, bill.units], ['reported', 5]);
  assert.deepEqual(running.at(-1), [15, 15]);
  assert.equal(body, pieces.join(''));
  answer = () => ({ headers: gpt.SSE, pieces: [gpt.event({ x: 1 })], breaks: true });
  assert.deepEqual((await send(upstream, '/', planned(terms, ''))).bill.source, 'estimated');
});

test('any answer at all passes byte for byte, and costs what is reserved at most unless it was reported', async () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        'data: ',
        '\n',
        '\r\n',
        '\n\n',
        '{"usage":{"prompt_tokens":3,"completion_tokens":',
        '"error":{"x":1}',
        '4}}',
        '[DONE]',
      ),
      fc.constantFrom(
        '{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}',
        '{"done":true,"eval_count":-3}',
      ),
      fc.string({ maxLength: 20 }),
      fc.jsonValue().map((value) => JSON.stringify(value)),
    ),
    { maxLength: 25 },
  );
  const types = fc.constantFrom(
    'text/event-stream',
    'application/json',
    'application/x-ndjson',
    'text/plain',
    '',
  );
  await fc.assert(
    fc.asyncProperty(
      pieces,
      types,
      fc.constantFrom('openai', 'anthropic', 'ollama'),
      fc.boolean(),
      async (parts, type, name, stream) => {
        const terms = preset(name);
        const plan = planned(terms, { stream, stream_options: { include_usage: true }, max_tokens: 50 });
        const { body, bill } = await read(plan, {
          headers: ['content-type', type],
          pieces: parts.map((part) => Buffer.from(part)),
        });
        assert.equal(body, Buffer.from(parts.join('')).toString('utf8'));
        assert.ok(Number.isSafeInteger(bill.costMsat));
        if (bill.source === 'estimated')
          assert.ok(bill.usage.output <= Math.max(plan.expected.reservedOutput, 4));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a reader of an endless event keeps little of it', async () => {
  const reader = new UsageReader(planned(OPENAI, STREAM).expected);
  reader.head(200, ['content-type', 'text/event-stream']);
  reader.chunk(Buffer.from('data: {"a":"'));
  collectGarbage();
  const before = process.memoryUsage();
  for (let at = 0; at < 50; at += 1) reader.chunk(Buffer.alloc(1_000_000, 0x61));
  // What is free is given back by another thread, a moment later.
  let now = process.memoryUsage();
  for (let turn = 0; turn < 100 && now.arrayBuffers - before.arrayBuffers >= 3_000_000; turn += 1) {
    collectGarbage();
    await nextTurn();
    now = process.memoryUsage();
  }
  assert.ok(now.arrayBuffers - before.arrayBuffers < 3_000_000);
  collectGarbage();
  assert.ok(process.memoryUsage().heapUsed - before.heapUsed < 3_000_000);
  assert.equal((await reader.end()).source, 'estimated');
});

test('rates by model are exact over input, cache and output', async () => {
  const per = 1_000_000;
  const models = compileModelRates({
    'gpt-4o*': {
      input: { amountMsat: msat(2_500_000), per },
      cachedInput: { amountMsat: msat(1_250_000), per },
      output: { amountMsat: msat(10_000_001), per },
    },
  });
  const usage = { prompt_tokens: 19, completion_tokens: 10, prompt_tokens_details: { cached_tokens: 8 } };
  const { bill } = await read(planned(preset('openai', { models }), CHAT), jsonAnswer({ usage }));
  // 11 × 2.5 + 8 × 1.25 + 10 × 10.000001 = 137.50001
  assert.equal(bill.costMsat, 138);
});

const JSON_HEAD = ['Content-Type', 'application/json'];

function jsonAnswer(body: unknown) {
  return { headers: JSON_HEAD, pieces: [Buffer.from(JSON.stringify(body))] };
}
