/** What is read of sources elsewhere, as it takes as long as who wrote them likes. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { moduleGraph } from '#src/kernel/modules/module-graph.js'
import { importsElsewhere, stripped } from '#src/kernel/modules/source-reader.js'
import { SLOW_TO_PARSE } from '../../../support/offences.js'
import { tree } from '../../../support/tree.js'

test('a source that takes too long is given up, with what else there is of its author; others only wait for it', async () => {
  const typed = 'export const one: number = 1\n'
  const read = await Promise.all([
    stripped(`${typed}${SLOW_TO_PARSE}`, 'hostile'),
    stripped(`${typed}${SLOW_TO_PARSE}// another`, 'hostile'),
    importsElsewhere("import './a.js'\nrequire('b')", false, 'innocent'),
    importsElsewhere("export const of = <U,>(x: U): U => x!\nimport './a.ts'\nimport type { B } from './b.ts'", true, 'innocent'),
    importsElsewhere('const = {', true, 'innocent'),
    stripped(`${typed}// ${Math.random()}`, 'innocent'),
  ])
  const given = [undefined, undefined, ['./a.js', 'b'], ['./a.ts'], undefined]
  expect(read).toEqual([...given, expect.stringContaining('export const one         = 1')])
})

/** Of TypeScript, what the lexer cannot read with its types. */
const TYPED = `const half = 1 as Of<B> / 2, text = "/ ("\n`

test('the graph of a module comes to its end, however long it takes to read a file', async () => {
  const files = {
    'index.ts': `import './stripped.ts'\nimport './slow.ts'\nimport './a.ts'`,
    'stripped.ts': `${TYPED}import './a.ts'`,
    'slow.ts': TYPED + SLOW_TO_PARSE,
    'a.ts': '',
  }
  const root = tree(files)
  const { files: found, broken } = await moduleGraph(join(root, 'index.ts'), root)
  expect(found.sort()).toEqual(
    Object.keys(files)
      .map((file) => join(root, file))
      .sort(),
  )
  expect(broken).toEqual([join(root, 'slow.ts')])
})

test('the graph of a module has what long files import, and of what is not there so much as is worth waiting for', async () => {
  const root = tree({
    'index.js': `import './long.js'\nimport './many.js'`,
    'long.js': `/*${' '.repeat(200_000)}*/ import './a.js'`,
    'a.js': '',
    'many.js': Array.from({ length: 20_000 }, (_, i) => `import('./${i}')`).join('\n'),
  })
  const { files, unresolved } = await moduleGraph(join(root, 'index.js'), root)
  expect(files).toContain(join(root, 'a.js'))
  expect(unresolved).toHaveLength(100)
})
