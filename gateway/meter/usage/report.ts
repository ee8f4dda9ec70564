import { type Dialect, isError, note } from './dialect.ts';
import type { JsonPath } from './json-path.ts';

const ERROR = ['error'];

/**
 * Reads one number at a place in JSON that the operator named; it is counted as output. An answer of any API may have a member
 * `error`, so an error counts only when there is no report beside it.
 */
export function reportAt(path: JsonPath): Dialect {
  // No path may be the beginning of another: a report that stands inside of `error` is looked for alone.
  const readsErrors = path[0] !== 'error';
  return {
    paths: readsErrors ? [path, ERROR] : [path],
    read(view, findings) {
      note(findings, 'output', view.at(path));
      if (findings.output !== undefined) {
        findings.input ??= 0;
        findings.failed = false;
      } else if (readsErrors && isError(view.at(ERROR))) findings.failed = true;
    },
  };
}
