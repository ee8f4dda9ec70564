import { isRecord } from './read-request.ts';

/** What a request's input may come to, before the upstream has said. */
export interface InputEstimate {
  /** Bytes of the request, without what is media. */
  readonly textBytes: number;
  /** Units that images, sound and files inside the request are assumed to make. */
  readonly mediaUnits: number;
  /** Things that the request refers to and does not hold. */
  readonly references: number;
}

/** A shorter text is never media: reading it as text costs next to nothing. */
const MIN_MEDIA_CHARS = 256;
/** An image makes up to about two thousand tokens; a document of pages makes one for about 32 bytes of base64. */
const MEDIA_UNITS = 2_000;
const MEDIA_CHARS_PER_UNIT = 32;

/** Members that hold base64. */
const MEDIA_MEMBERS = new Set(['data', 'file_data', 'images', 'b64_json']);
/** Members that hold the address of an image or a file. */
const ADDRESS_MEMBERS = new Set(['url', 'image_url', 'file_url']);
/** Members that name something the upstream keeps. */
const NAME_MEMBERS = new Set(['previous_response_id', 'conversation', 'file_id']);

/** Estimates the input of a request of `bytes` bytes. The document's nesting is bounded by its reader. */
export function estimateInput(document: unknown, bytes: number): InputEstimate {
  const found = { mediaChars: 0, mediaUnits: 0, references: 0 };
  visit(document, '', found);
  return {
    textBytes: Math.max(0, bytes - found.mediaChars),
    mediaUnits: found.mediaUnits,
    references: found.references,
  };
}

interface Found {
  mediaChars: number;
  mediaUnits: number;
  references: number;
}

function visit(value: unknown, name: string, found: Found): void {
  if (typeof value === 'string') {
    visitText(value, name, found);
  } else if (Array.isArray(value)) {
    for (const item of value) visit(item, name, found);
  } else if (isRecord(value)) {
    // A stored conversation or prompt that is named by an object.
    if (name === 'conversation' || name === 'prompt') found.references += 1;
    for (const key of Object.keys(value)) visit(value[key], key, found);
  }
}

function visitText(text: string, name: string, found: Found): void {
  if (isMedia(text, name)) {
    found.mediaChars += text.length;
    found.mediaUnits += Math.max(MEDIA_UNITS, Math.ceil(text.length / MEDIA_CHARS_PER_UNIT));
  } else if (NAME_MEMBERS.has(name) || (ADDRESS_MEMBERS.has(name) && /^https?:/i.test(text))) {
    found.references += 1;
  }
}

/** Base64 where base64 belongs. What is called media and is text is billed by the report all the same; only less is reserved. */
function isMedia(text: string, name: string): boolean {
  if (text.length < MIN_MEDIA_CHARS) return false;
  if (ADDRESS_MEMBERS.has(name) || name === 'file_data') {
    const comma = text.startsWith('data:') ? text.indexOf(',') : -1;
    if (comma !== -1 && comma < MIN_MEDIA_CHARS) return isBase64(text.slice(comma + 1));
  }
  return MEDIA_MEMBERS.has(name) && isBase64(text);
}

function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/_-]+={0,2}$/.test(text);
}
