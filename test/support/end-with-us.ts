import { type ChildProcess, spawn } from 'node:child_process';

/*
 * No program that a test started may outlive it, however it ends. When this process ends in an orderly way, it kills them itself. When
 * it is killed, its end of a pipe closes, and a guard at the other end kills what is left.
 */

const GUARD = `
  pids=
  while read -r sign pid; do
    left=
    for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
    pids=$left
    [ "$sign" = + ] && pids="$pids $pid"
  done
  [ -z "$pids" ] || kill -9 $pids 2>/dev/null
`;

const running = new Set<ChildProcess>();
let guard: ChildProcess | undefined;

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function tellGuard(sign: '+' | '-', pid: number | undefined): void {
  if (guard === undefined) {
    guard = spawn('/bin/sh', ['-c', GUARD], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    guard.unref();
    // The pipe alone must not keep a finished test waiting.
    const { stdin } = guard;
    if (stdin !== null && 'unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  }
  guard.stdin?.write(`${sign} ${pid}\n`);
}

/** Has a program end with this process. @returns when it has ended */
export function endWithUs(child: ChildProcess): Promise<void> {
  running.add(child);
  tellGuard('+', child.pid);
  return new Promise((resolve) => {
    child.once('exit', () => {
      running.delete(child);
      tellGuard('-', child.pid);
      resolve();
    });
  });
}
