/**
 * The dashboard's script. It runs in the browser: dashboard.ts writes this function's own text into the page, so nothing
 * outside its body can be used. Everything from the API is set as text, never as HTML.
 */
export function runDashboard(): void {
  const REFRESH_MS = 5000;
  const KEY = 'sluice-admin-token';
  const element = (id: string): HTMLElement => {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`The page has no #${id}.`);
    return found;
  };

  const money = (msat: unknown): string => {
    const amount = Number(msat);
    return amount % 1000 === 0
      ? `${(amount / 1000).toLocaleString()} sat`
      : `${amount.toLocaleString()} msat`;
  };

  const card = (name: string, text: string): HTMLElement => {
    const box = document.createElement('div');
    const term = document.createElement('dt');
    const value = document.createElement('dd');
    term.textContent = name;
    value.textContent = text;
    box.append(term, value);
    return box;
  };

  const row = (cells: readonly string[]): HTMLElement => {
    const line = document.createElement('tr');
    for (const text of cells) {
      const cell = document.createElement('td');
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  };

  const askForToken = (message: string): void => {
    sessionStorage.removeItem(KEY);
    element('status').textContent = message;
    element('content').hidden = true;
    element('login').hidden = false;
  };

  /** Undefined when the part does not answer; throws 'token' when the token is wrong. */
  const read = async (path: string): Promise<Record<string, never> | undefined> => {
    const token = sessionStorage.getItem(KEY) ?? '';
    const response = await fetch(path, { headers: { Authorization: `Bearer ${token}` }, cache: 'no-store' });
    if (response.status === 401 || response.status === 429) throw new Error('token');
    return response.ok ? await response.json() : undefined;
  };

  const showMoney = (totals: Record<string, number> | undefined): void => {
    if (totals === undefined) {
      element('money').replaceChildren(card('Store', 'does not answer'));
      return;
    }
    element('money').replaceChildren(
      card('Credited', money(totals['creditedMsat'])),
      card('Used by calls', money(totals['spentMsat'])),
      card('Owed to clients', money(Number(totals['balanceMsat']) + Number(totals['reservedMsat']))),
      card('Expired unused', money(totals['expiredMsat'])),
      card('Accounts', Number(totals['accounts']).toLocaleString()),
      card('Payments presented', Number(totals['claims']).toLocaleString()),
    );
  };

  const showParts = (
    parts: Record<string, { state: string; reason?: string }> | undefined,
    node: Record<string, unknown> | undefined,
  ): void => {
    const cards = Object.entries(parts ?? {}).map(([name, { state, reason }]) =>
      card(name, reason === undefined ? state : `${state}: ${reason}`),
    );
    if (node !== undefined)
      cards.push(card('Lightning node', `${node['alias']} (${node['type']}, ${node['network']})`));
    element('parts').replaceChildren(...cards);
  };

  interface ShownService {
    readonly name: string;
    readonly match: { readonly host?: string; readonly path: string; readonly methods?: readonly string[] };
    readonly price: string;
    readonly sinceStart: {
      readonly requests: Readonly<Record<string, number>>;
      readonly challenges: number;
      readonly redemptions: number;
      readonly earnedMsat: number;
    };
  }
  const showServices = (services: readonly ShownService[]): void => {
    const rows = services.map(({ name, match, price, sinceStart }) =>
      row([
        name,
        `${match.methods?.join(', ') ?? ''} ${match.host ?? ''}${match.path}`.trim(),
        price,
        String((sinceStart.requests['served'] ?? 0) + (sinceStart.requests['free'] ?? 0)),
        String(sinceStart.challenges),
        String(sinceStart.redemptions),
        money(sinceStart.earnedMsat),
      ]),
    );
    element('services').replaceChildren(...rows);
  };

  const refresh = async (): Promise<void> => {
    try {
      const [status, totals, services, node] = await Promise.all(
        ['/api/status', '/api/totals', '/api/services', '/api/node'].map(read),
      );
      if (status === undefined) throw new Error('The gateway does not answer.');
      element('login').hidden = true;
      element('content').hidden = false;
      element('play-money').hidden = status['playMoney'] !== true;
      element('status').textContent =
        `${status['ready'] ? 'Ready' : 'Not ready'} · version ${status['version']} · ${new Date().toLocaleTimeString()}`;
      showMoney(totals?.['totals']);
      showParts(status['parts'], node?.['node']);
      showServices(services?.['services'] ?? []);
    } catch (error) {
      if (error instanceof Error && error.message === 'token') {
        askForToken('Enter the admin token.');
        return;
      }
      element('status').textContent = 'The gateway does not answer; trying again.';
    }
    setTimeout(refresh, REFRESH_MS);
  };

  // The token leaves the address bar and the history at once: both are seen over shoulders and synced to other machines.
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, '', location.pathname);
  }
  element('login').addEventListener('submit', (event) => {
    event.preventDefault();
    const input = element('token');
    if (input instanceof HTMLInputElement) {
      sessionStorage.setItem(KEY, input.value.trim());
      input.value = '';
    }
    void refresh();
  });
  if (sessionStorage.getItem(KEY) === null) askForToken('Enter the admin token.');
  else void refresh();
}
