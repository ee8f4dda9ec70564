/*
 * Macaroons in LND's form: V2 (version 2; fields of type, length and data; sections end with 0), whose identifier is a 3 and
 * the protobuf message MacaroonId { nonce = 1; storageId = 2; ops = 3 { entity = 1; actions = 2 } } of go-macaroon-bakery.
 */

/** A macaroon, hex, that grants `entity: [actions]`, under these caveats. The signature is none. */
export function lndMacaroon(
  rights: Readonly<Record<string, readonly string[]>>,
  caveats: readonly string[] = [],
): string {
  const ops = Object.entries(rights).map(([entity, actions]) =>
    field(
      3,
      Buffer.concat([field(1, Buffer.from(entity)), ...actions.map((one) => field(2, Buffer.from(one)))]),
    ),
  );
  const id = Buffer.concat([Buffer.of(3), field(1, Buffer.alloc(16, 7)), field(2, Buffer.from('0')), ...ops]);
  const sections = caveats.flatMap((caveat) => [packet(2, Buffer.from(caveat)), Buffer.of(0)]);
  const head = [Buffer.of(2), packet(1, Buffer.from('lnd')), packet(2, id), Buffer.of(0)];
  return Buffer.concat([...head, ...sections, Buffer.of(0), packet(6, Buffer.alloc(32, 9))]).toString('hex');
}

function field(number: number, data: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(data.length), data]);
}

function packet(type: number, data: Buffer): Buffer {
  return Buffer.concat([varint(type), varint(data.length), data]);
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.of((value & 0x7f) | 0x80, value >> 7);
}
