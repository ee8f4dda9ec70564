import type { Handshake, HandshakeRequest } from './paid-socket.ts';

/**
 * Makes WebSocket handshakes in a browser, which can neither send `Authorization` with one nor see its 402: the price is asked with a
 * plain GET of the same address, and the credential is exchanged for the gateway's session cookie (`POST /.l402/session`). The page
 * must be of the gateway's own origin, and served over HTTPS or from localhost, or the browser keeps no such cookie.
 */
export async function connectWithCookie(request: HandshakeRequest): Promise<Handshake<WebSocket>> {
  const { authorization, httpUrl, fetch, signal = null } = request;
  const askUnpaid = async (): Promise<Response> =>
    fetch(httpUrl.href, { headers: { accept: 'application/json' }, credentials: 'omit', signal });
  if (authorization === undefined) {
    const response = await askUnpaid();
    if (response.status === 402) return { response };
    await response.body?.cancel();
    return connect(request);
  }
  const init = { headers: { authorization }, redirect: 'error', signal } as const;
  const session = await fetch(`${httpUrl.origin}/.l402/session`, {
    ...init,
    method: 'POST',
    credentials: 'same-origin',
  });
  // The credential opens nothing any more: the refusal that can be paid for is another answer.
  if (session.status === 401 || session.status === 402 || session.status === 403) {
    await session.body?.cancel();
    return { response: await askUnpaid() };
  }
  if (!session.ok) return { response: session };
  await session.body?.cancel();
  try {
    return await connect(request);
  } catch (error) {
    // The browser does not say why. Only the gateway's own word that nothing is left makes it worth asking for the price.
    const account = await fetch(`${httpUrl.origin}/.l402/account`, init).catch(() => undefined);
    const answer: unknown = await account?.json().catch(() => undefined);
    const isEmpty = typeof answer === 'object' && answer !== null && Reflect.get(answer, 'balanceMsat') === 0;
    if (!isEmpty) throw error;
    return { response: await askUnpaid() };
  }
}

function connect({ url, protocols, signal, onMessage }: HandshakeRequest): Promise<Handshake<WebSocket>> {
  const socket = new WebSocket(url, [...protocols]);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }) => {
    if (typeof data === 'string') onMessage(data);
    else if (data instanceof ArrayBuffer) onMessage(new Uint8Array(data));
  });
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      socket.close();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    const done = (): void => signal?.removeEventListener('abort', abort);
    socket.addEventListener('open', () => {
      done();
      resolve({ response: new Response(null), socket });
    });
    socket.addEventListener('error', () => {
      done();
      reject(new TypeError('The WebSocket could not be opened.'));
    });
  });
}
