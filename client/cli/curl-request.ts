import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { EXIT, UsageError } from './exit-codes.ts';
import type { Io } from './io.ts';

/** The options that say what is asked, in curl's words. */
export interface RequestOptions {
  readonly request?: string;
  readonly header: readonly string[];
  readonly body: readonly string[];
  readonly dataBinary: readonly string[];
  readonly head?: boolean;
  readonly location?: boolean;
}

const MAX_STDIN_BYTES = 256 * 1024 * 1024;

/** Adds the options that say what is asked. */
export function addRequestOptions(command: Command): Command {
  const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  return (
    command
      .option('-X, --request <method>', 'method (default: GET, or POST with -d)')
      .option('-H, --header <line>', '"Name: value"; may be repeated', collect, [])
      // Not --data: that is the data folder in every command.
      .option('-d, --body <data>', 'body; @file or @- reads it, without its line ends', collect, [])
      .option('--data-binary <data>', 'body; @file or @- reads it as it is', collect, [])
      .option('-I, --head', 'ask for the headers only')
      .option('-L, --location', 'follow redirects')
  );
}

/** Makes a URL and the settings of `fetch` from curl's options. @throws UsageError */
export async function toRequest(
  target: string,
  options: RequestOptions,
  io: Io,
): Promise<{ readonly url: URL; readonly init: RequestInit }> {
  const url = toUrl(target);
  const headers = toHeaders(options.header);
  const body = await toBody(options, io);
  if (body !== undefined && !headers.has('content-type')) {
    headers.set('content-type', 'application/x-www-form-urlencoded');
  }
  const method = options.request ?? (options.head === true ? 'HEAD' : body === undefined ? 'GET' : 'POST');
  if (body !== undefined && /^(GET|HEAD)$/i.test(method)) {
    throw new UsageError(
      `${method.toUpperCase()} can't be sent with a body; leave -d out, or name another method with -X.`,
    );
  }
  const redirect = options.location === true ? 'follow' : 'manual';
  return { url, init: { method, headers, redirect, ...(body === undefined ? {} : { body }) } };
}

function toUrl(target: string): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(target) ? target : `http://${target}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`"${target}" is not an HTTP URL.`, EXIT.badUrl);
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('A user name in the URL is not supported; use -H "Authorization: …".', EXIT.badUrl);
  }
  return url;
}

function toHeaders(lines: readonly string[]): Headers {
  const headers = new Headers({ accept: '*/*', 'user-agent': 'sluice' });
  const named = new Set<string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new UsageError('-H takes "Name: value".');
    const name = line.slice(0, colon).trim();
    const value = line.slice(colon + 1).trim();
    try {
      // The first of a name replaces our default, a second one is added.
      if (named.has(name.toLowerCase())) headers.append(name, value);
      else headers.set(name, value);
    } catch {
      throw new UsageError(`The header "${name}" has characters that a header can't have.`);
    }
    named.add(name.toLowerCase());
  }
  return headers;
}

async function toBody(options: RequestOptions, io: Io): Promise<Blob | undefined> {
  const parts: BlobPart[] = [];
  const add = (part: BlobPart): void => {
    if (parts.length > 0) parts.push('&');
    parts.push(part);
  };
  for (const text of options.body) {
    const bytes = await readData(text, io);
    add(text.startsWith('@') ? bytes.filter((byte) => byte !== 0x0a && byte !== 0x0d) : bytes);
  }
  for (const text of options.dataBinary) add(await readData(text, io));
  return parts.length === 0 ? undefined : new Blob(parts);
}

async function readData(text: string, io: Io): Promise<Uint8Array<ArrayBuffer>> {
  if (!text.startsWith('@')) return new TextEncoder().encode(text);
  if (text === '@-') return readStdin(io);
  try {
    return new Uint8Array(await readFile(resolve(io.cwd, text.slice(1))));
  } catch {
    throw new UsageError(`The file ${text.slice(1)} can't be read.`, EXIT.read);
  }
}

async function readStdin(io: Io): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_STDIN_BYTES)
      throw new UsageError('Standard input is too long to be sent twice; use a file.', EXIT.read);
    chunks.push(bytes);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
