import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FILES } from '../../gateway/demo/files.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';

let demo: DemoUpstream;
before(async () => {
  demo = await startDemoUpstream();
});
after(() => demo.close());

function get(file: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(`${demo.url}/files/${file}`, { method, headers });
}

test('every file has the size that it is listed with, and says so before', async () => {
  const { files } = await (await get('')).json();
  assert.deepEqual(
    files,
    [...FILES].map(([name, bytes]) => ({ name, bytes })),
  );
  for (const [name, bytes] of FILES) {
    const response = await get(name);
    assert.equal(response.headers.get('content-length'), String(bytes));
    assert.equal((await response.arrayBuffer()).byteLength, bytes, name);
    const head = await get(name, {}, 'HEAD');
    assert.deepEqual([head.headers.get('content-length'), await head.text()], [String(bytes), '']);
  }
  assert.equal((await get('2mb.txt')).status, 404);
});

test('a range is the same bytes as that part of the whole', async () => {
  const whole = await (await get('100kb.txt')).text();
  const ranges: readonly [string, number, number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=49-50', 49, 51],
    ['bytes=63990-64010', 63_990, 64_011],
    ['bytes=99990-', 99_990, 100_000],
    ['bytes=-7', 99_993, 100_000],
    ['bytes=500-999999', 500, 100_000],
  ];
  for (const [range, start, end] of ranges) {
    const response = await get('100kb.txt', { range });
    assert.equal(response.status, 206, range);
    assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/100000`);
    assert.equal(response.headers.get('content-length'), String(end - start));
    assert.equal(await response.text(), whole.slice(start, end), range);
  }
});

test('a range beyond the end is 416, and what is no single range is the whole file', async () => {
  for (const range of ['bytes=1000-', 'bytes=-0', 'bytes=5000-6000']) {
    const response = await get('1kb.txt', { range });
    assert.deepEqual([response.status, response.headers.get('content-range')], [416, 'bytes */1000']);
    await response.body?.cancel();
  }
  for (const range of ['bytes=0-1,5-6', 'bytes=', 'bytes=-', 'lines=1-2', 'bytes=9-3']) {
    const response = await get('1kb.txt', { range });
    assert.deepEqual([response.status, (await response.text()).length], [200, 1_000], range);
  }
});

test('If-Range takes a range only of the file that it names', async () => {
  const etag = (await get('1kb.txt', {}, 'HEAD')).headers.get('etag') ?? '';
  assert.equal((await get('1kb.txt', { range: 'bytes=0-9', 'if-range': etag })).status, 206);
  assert.equal((await get('1kb.txt', { range: 'bytes=0-9', 'if-range': '"other"' })).status, 200);
});
