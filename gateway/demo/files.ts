import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type DemoRequest, type DemoRoute, sendJson, sendNotFound } from './route.ts';

/** What /files/ has: names and sizes, bytes. */
export const FILES: ReadonlyMap<string, number> = new Map([
  ['1kb.txt', 1_000],
  ['100kb.txt', 100_000],
  ['1mb.txt', 1_000_000],
  ['10mb.txt', 10_000_000],
]);

const LINE_BYTES = 50;
const CHUNK_BYTES = 64_000;
const VERSION = 1;

/** `/files/*`: texts of known sizes, made as they are sent; with ranges (RFC 9110 section 14). */
export function fileRoutes(): readonly DemoRoute[] {
  return [{ path: '/files/', serve: serveFile }];
}

function serveFile({ request, response, rest }: DemoRequest): void {
  if (rest === '') {
    const files = [...FILES].map(([name, bytes]) => ({ name, bytes }));
    sendJson(response, 200, { files });
    return;
  }
  const size = FILES.get(rest);
  if (size === undefined) {
    sendNotFound(response);
    return;
  }
  const etag = `"${rest}-${VERSION}"`;
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? readRange(request.headers.range, size) : 'whole';
  response.setHeader('Accept-Ranges', 'bytes');
  if (range === 'none') {
    response.setHeader('Content-Range', `bytes */${size}`);
    sendJson(response, 416, { error: `The file has ${size} bytes.` });
    return;
  }
  const { start, end } = range === 'whole' ? { start: 0, end: size } : range;
  response.writeHead(range === 'whole' ? 200 : 206, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': end - start,
    ETag: etag,
    ...(range === 'whole' ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }),
  });
  if (request.method === 'HEAD') response.end();
  else void pipeline(Readable.from(chunksOf(start, end)), response).catch(() => undefined);
}

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** One range of bytes; several, or what is no range, mean the whole file, as the standard allows. */
function readRange(header: string | undefined, size: number): Range | 'whole' | 'none' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return 'whole';
  if (first === '')
    return Number(last) === 0 ? 'none' : { start: Math.max(0, size - Number(last)), end: size };
  const start = Number(first);
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  if (last !== '' && Number(last) < start) return 'whole';
  return start >= size ? 'none' : { start, end };
}

/** The bytes from `start` to `end`: numbered lines, so that any part of a file says where it is from. */
function* chunksOf(start: number, end: number): Generator<Buffer> {
  for (let at = start; at < end; ) {
    const length = Math.min(CHUNK_BYTES, end - at);
    const firstLine = Math.floor(at / LINE_BYTES);
    const lines = Math.ceil((at + length) / LINE_BYTES) - firstLine;
    const text = Array.from({ length: lines }, (_, line) => lineAt(firstLine + line)).join('');
    const skip = at - firstLine * LINE_BYTES;
    yield Buffer.from(text.slice(skip, skip + length), 'latin1');
    at += length;
  }
}

function lineAt(line: number): string {
  return `${`line ${String(line + 1).padStart(8, '0')} of a text that is long for a demo`.padEnd(LINE_BYTES - 1, '.')}\n`;
}
