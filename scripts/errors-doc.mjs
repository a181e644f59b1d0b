// Writes docs/errors.md from the table of codes in dist/errors.js. `--check` says whether the page is up to date instead.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from '../dist/errors.js'

const page = fileURLToPath(new URL('../docs/errors.md', import.meta.url))

/** The whole page for a table of codes. */
export const errorsPage = (codes) => `# Errors

Every error plugbay throws or reports is a \`PlugbayError\`. Its \`code\` is one of the table below and stays the same between
versions; its \`message\` names the plugin, what happened, the value, and the likely mend; \`plugin\` is the plugin it is about,
\`details\` holds what a program may want to read, and \`cause\` is the error behind it. All of that survives the way through a
worker thread.

What plugins throw survives it as well: name, message, stack, \`code\` and \`cause\`, of an \`AggregateError\` its \`errors\`, and the properties that were set on it
(\`error.status = 404\`) as far as they are plain data: texts, numbers, booleans, null, and lists and plain objects of these. Getters, functions and objects with a class are left behind, and so is what is
beyond the bounds: 8 errors deep, 16 members of aggregates, 16 KB of properties with 256 parts in all. Its class is lost, but for \`PlugbayError\` and \`AggregateError\`: tell errors apart by \`name\` or \`code\`.

A plugin may throw what says that it is any of these. The kernel shows that, as the \`cause\` of an error of its own, and never acts on it: a \`start\` that throws \`CHANNEL_CLOSED\` has failed with
\`PLUGIN_START\`. Of what a service throws, its code is the provider's word to its caller in the same way.

\`\`\`ts
import { PlugbayError } from 'plugbay'

try {
  await kernel.load('./plugins/prices')
} catch (error) {
  if (PlugbayError.is(error) && error.code === 'MANIFEST_INVALID') console.error(error.message)
  else throw error
}
\`\`\`

Use \`PlugbayError.is\` rather than \`instanceof\`: it also knows an error made by another copy of the library.

| code | when |
| --- | --- |
${Object.entries(codes)
  .map(([code, meaning]) => `| \`${code}\` | ${meaning.replaceAll('|', '\\|')} |`)
  .join('\n')}

This page is written by \`npm run docs:errors\` from the table in \`src/errors.ts\`.
`

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = errorsPage(ERROR_CODES)
  if (process.argv.includes('--check')) {
    if (readFileSync(page, 'utf8') !== wanted) {
      console.error('docs/errors.md is stale: run `npm run docs:errors`.')
      process.exitCode = 1
    }
  } else {
    writeFileSync(page, wanted)
  }
}
