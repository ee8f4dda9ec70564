import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { readAddInvoice } from '../../../node/simnet/lnd-requests.ts';
import { type Simnet, SimnetRefusal, type SimnetWallet, STATUS } from '../../../node/simnet/types.ts';
import { answered, type FakeGrpc, type GrpcCallSeen, openGrpc, refused } from './fake-grpc.ts';

/* The calls that our LND client makes over gRPC, in front of the simulated network; all else is asked of its REST surface. */

/** `lnrpc.WalletState.SERVER_ACTIVE` */
const SERVER_ACTIVE = 4;
/** What grpc-go answers to a method that it does not have. */
const UNIMPLEMENTED = 12;

/** Serves the network as LND serves gRPC: TLS, with the certificate in tls.ts. */
export function serveSimnetGrpc(simnet: Simnet): Promise<FakeGrpc> {
  return openGrpc((call) => {
    // As if the node had died.
    if (simnet.settings.offline || simnet.closing.aborted) call.stream.session?.destroy();
    else reply(simnet, call);
  });
}

function reply(simnet: Simnet, call: GrpcCallSeen): void {
  try {
    answered(answer(simnet, call))(call);
  } catch (error) {
    const refusal = error instanceof SimnetRefusal ? error : new SimnetRefusal(STATUS.unknown, 'it failed');
    refused(refusal.status, encodeURIComponent(refusal.message))(call);
  }
}

function answer(simnet: Simnet, call: GrpcCallSeen): Uint8Array {
  // LND tells its state to anybody.
  if (call.path === '/lnrpc.State/GetState') {
    return new BinaryWriter().tag(1, WireType.Varint).int32(SERVER_ACTIVE).finish();
  }
  if (call.path === '/lnrpc.Lightning/AddInvoice') return addInvoice(authorize(simnet, call), call.message);
  throw new SimnetRefusal(UNIMPLEMENTED, `unknown method ${call.path}`);
}

function authorize(simnet: Simnet, { headers }: GrpcCallSeen): SimnetWallet {
  const { macaroon } = headers;
  if (typeof macaroon !== 'string') throw new SimnetRefusal(STATUS.unknown, 'expected 1 macaroon, got 0');
  const wallet = simnet.walletByMacaroon(macaroon);
  if (wallet !== undefined) return wallet;
  const why = 'verification failed: signature mismatch after caveat verification';
  throw new SimnetRefusal(STATUS.unknown, why);
}

function addInvoice(wallet: SimnetWallet, message: Uint8Array): Uint8Array {
  // In the form of the REST surface, so that both refuse the same.
  const invoice = wallet.addInvoice(readAddInvoice(readInvoice(message)));
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .bytes(Buffer.from(invoice.paymentHash, 'hex'))
    .tag(2, WireType.LengthDelimited)
    .string(invoice.bolt11)
    .tag(16, WireType.Varint)
    .uint64(invoice.addIndex)
    .tag(17, WireType.LengthDelimited)
    .bytes(Buffer.from(invoice.paymentSecret, 'hex'))
    .finish();
}

/** Fields of `lnrpc.Invoice`, as protojson names them. */
export function readInvoice(message: Uint8Array): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) fields['memo'] = reader.string();
    else if (field === 10) fields['description_hash'] = Buffer.from(reader.bytes()).toString('base64');
    else if (field === 11) fields['expiry'] = String(reader.int64());
    else if (field === 15) fields['private'] = reader.bool();
    else if (field === 23) fields['value_msat'] = String(reader.int64());
    else throw new SimnetRefusal(STATUS.invalidArgument, `field ${field} of wire type ${type}`);
  }
  return fields;
}
