/** Slots of a Redis Cluster. */
export const SLOT_COUNT = 16_384;

/** CRC16 as Redis counts it (XMODEM: polynomial 0x1021, from 0). https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
  return crc & 0xffff;
});

/** The slot of a key: of what stands between its first braces, when something does. Keys are ASCII. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open === -1 ? -1 : key.indexOf('}', open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (let at = 0; at < hashed.length; at += 1) {
    crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ hashed.charCodeAt(at)) & 0xff] ?? 0)) & 0xffff;
  }
  return crc % SLOT_COUNT;
}

let tags: readonly string[] | undefined;

/** For each slot, a short text that lies in it: `{text}` puts a key there. Found by trying, once a process. */
export function slotTags(): readonly string[] {
  if (tags !== undefined) return tags;
  const found = new Array<string>(SLOT_COUNT).fill('');
  let left = SLOT_COUNT;
  for (let number = 0; left > 0; number += 1) {
    const text = number.toString(36);
    const slot = slotOf(text);
    if (found[slot] !== '') continue;
    found[slot] = text;
    left -= 1;
  }
  tags = found;
  return tags;
}
