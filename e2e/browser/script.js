// The console's pure functions, as the page has them: its parts share one scope.
import { readFileSync } from 'node:fs';

const read = (name) => readFileSync(new URL(`../../custom-app/console/${name}`, import.meta.url), 'utf8');

/** What the mesh is configured to do. */
export const policy = JSON.parse(read('policy.json'));

/** The functions of these names. */
export function functions(...names) {
  return new Function(`${read('headers.js')}${read('timeline.js')}return { ${names} };`)();
}
