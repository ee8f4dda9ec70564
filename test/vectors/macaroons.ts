/** What other implementations make of known keys. Text fields are as written; bytes are hex. */
export interface MacaroonVector {
  readonly source: string;
  readonly rootKey: Buffer;
  readonly location: string;
  readonly identifier: Buffer;
  readonly caveats: readonly string[];
  readonly signatureHex: string;
  readonly base64: string;
}

/** Made with go-macaroon v2.1.0, as Aperture uses it. */
export const GO_MACAROON = {
  source: 'go-macaroon v2.1.0',
  rootKey: Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex'),
  preimage: '11'.repeat(32),
  paymentHash: '02d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc',
  tokenId: 'aa'.repeat(32),
  location: 'lsat',
  identifier: Buffer.from(
    `000002d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc${'aa'.repeat(32)}`,
    'hex',
  ),
  caveats: ['services=service1:0', 'service1_capabilities=add,subtract', 'service1_valid_until=1900000000'],
  signatureHex: '020e1d3959b5f269865b9454eb330262652718d6a694ac6b3d8f9bc6ca902803',
  base64:
    'AgEEbHNhdAJCAAAC1EmjH7smfI81Lplop54+X8lcG76qUC/WRU695aS+3KqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqAAITc2VydmljZXM9c2VydmljZTE6MAACInNlcnZpY2UxX2NhcGFiaWxpdGllcz1hZGQsc3VidHJhY3QAAh9zZXJ2aWNlMV92YWxpZF91bnRpbD0xOTAwMDAwMDAwAAAGIAIOHTlZtfJphluUVOszAmJlJxjWppSsaz2Pm8bKkCgD',
  /** After the caveat `preimage=` and the preimage were appended. */
  signatureWithPreimageHex: '86b723aafc8c74ede59e0c85723e773c76a008cc76bc8a41f8d48253296ea84e',
} as const satisfies MacaroonVector & Record<string, unknown>;

const LIBMACAROONS = {
  source: 'libmacaroons test vectors (V2), also held by js-macaroon and rust macaroon',
  rootKey: Buffer.from('this is the key'),
  location: 'http://example.org/',
  identifier: Buffer.from('keyid'),
};

/** The serialization vectors of libmacaroons: none, one and two caveats. */
export const LIBMACAROONS_V2: readonly MacaroonVector[] = [
  {
    ...LIBMACAROONS,
    caveats: [],
    signatureHex: '7cdee792511c5bc6f528485805dfe9b24e785e28e2a99301f9d711c609e38ef7',
    base64: 'AgETaHR0cDovL2V4YW1wbGUub3JnLwIFa2V5aWQAAAYgfN7nklEcW8b1KEhYBd/psk54XijiqZMB+dcRxgnjjvc=',
  },
  {
    ...LIBMACAROONS,
    caveats: ['account = 3735928559'],
    signatureHex: 'f54807f6dc6edf88bf0f7306b3822562a362533dbf7339ba61765da4bd259d87',
    base64:
      'AgETaHR0cDovL2V4YW1wbGUub3JnLwIFa2V5aWQAAhRhY2NvdW50ID0gMzczNTkyODU1OQAABiD1SAf23G7fiL8PcwazgiVio2JTPb9zObphdl2kvSWdhw==',
  },
  {
    ...LIBMACAROONS,
    caveats: ['account = 3735928559', 'user = alice'],
    signatureHex: '4be967cd1ea0c6b26baf6a4a94ee9b05b15886da0ba85e8c42a93c8d0e125efc',
    base64:
      'AgETaHR0cDovL2V4YW1wbGUub3JnLwIFa2V5aWQAAhRhY2NvdW50ID0gMzczNTkyODU1OQACDHVzZXIgPSBhbGljZQAABiBL6WfNHqDGsmuvakqU7psFsViG2guoXoxCqTyNDhJe/A==',
  },
];
