import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { moduleGraph, Sources } from '#src/kernel/modules/module-graph.js'
import { tree } from '../../../support/tree.js'

const graphOf = async (files: Record<string, string>, entry = 'index.js') => {
  const root = tree(files)
  const graph = await moduleGraph(join(root, entry), root)
  const short = (paths: string[]) => paths.map((path) => path.replace(`${root}/`, '')).sort()
  return {
    ...graph,
    files: short(graph.files),
    links: short(graph.links),
    unresolved: short(graph.unresolved),
    broken: short(graph.broken),
  }
}

describe('the files of a module', () => {
  test('are all that static and literal dynamic imports and re-exports reach, once, circles too', async () => {
    const { files, broken, typescript } = await graphOf({
      'index.js': "import './lib/a.js'\nexport * from './b.js'\nconst c = await import('./c.mjs')\nawait import(`./${c}.js`)",
      'lib/a.js': "import '../index.js'\nimport '../lib/a.js'",
      'b.js': "export { x } from './d.js'",
      'c.mjs': '',
      'd.js': 'export const x = 1',
      'stray.js': '',
    })
    expect(files).toEqual(['b.js', 'c.mjs', 'd.js', 'index.js', 'lib/a.js'])
    expect(broken).toEqual([])
    expect(typescript).toBe(false)
  })

  test('may lie outside the folder, and be named by a query or an address', async () => {
    const outside = tree({ 'shared.js': '', 'other.js': '' })
    const root = tree({
      'index.js': `import '${join(outside, 'shared.js')}?x=1#y'\nimport '${pathToFileURL(join(outside, 'other.js')).href}'`,
    })
    const { files } = await moduleGraph(join(root, 'index.js'), root)
    expect(files).toEqual(expect.arrayContaining([join(outside, 'shared.js'), join(outside, 'other.js')]))
  })

  test('are JSON and CommonJS files too', async () => {
    const { files } = await graphOf({
      'index.js': "import data from './data.json' with { type: 'json' }\nimport c from './c.cjs'",
      'data.json': '{}',
      'c.cjs': 'const d = require(\'./d\')\nconst e = require("./lib")',
      'd.js': '',
      'lib/index.js': '',
    })
    expect(files).toEqual(['c.cjs', 'd.js', 'data.json', 'index.js', 'lib/index.js'])
  })

  test('are no libraries, unless the plugin itself lies in one', async () => {
    const files = { 'index.js': "import './node_modules/x/index.js'\nimport './a.js'", 'a.js': '', 'node_modules/x/index.js': '' }
    expect((await graphOf(files)).files).toEqual(['a.js', 'index.js'])
    const root = tree(Object.fromEntries(Object.entries(files).map(([path, text]) => [join('node_modules/p', path), text])))
    const inside = await moduleGraph(join(root, 'node_modules/p/index.js'), join(root, 'node_modules/p'))
    expect(inside.files).toEqual([join(root, 'node_modules/p/index.js'), join(root, 'node_modules/p/a.js')])
  })

  test('are not made up from comments and strings', async () => {
    const { files, unresolved } = await graphOf({
      'index.js': "// import './a.js'\nconst text = \"import './b.js'\"\n/* import('./c.js') */",
      'a.js': '',
    })
    expect(files).toEqual(['index.js'])
    expect(unresolved).toEqual([])
  })

  test('in TypeScript leave out what is imported for its types alone', async () => {
    const { files, typescript } = await graphOf(
      {
        'index.ts':
          "import type { T } from './types.ts'\nimport { a } from './a.ts'\nexport const b = <U,>(x: U): T<U> => a!<U>(x as any) satisfies T<U>\ntype V = typeof import('./v.ts')",
        'a.ts':
          'export abstract class A<T extends A<any>> { declare x: T; m(this: A<T>, b?: string): asserts b is string {} }\nexport const a: any = null',
        'types.ts': '',
        'v.ts': '',
      },
      'index.ts',
    )
    expect(files).toEqual(['a.ts', 'index.ts'])
    expect(typescript).toBe(true)
  })
})

describe('besides files, the graph names', () => {
  test('the bare specifiers, sorted', async () => {
    const { bare } = await graphOf({
      'index.js':
        "import 'plugbay/plugin'\nimport fs from 'node:fs'\nimport 'lodash'\nimport 'lodash'\nimport '#own'\nimport 'data:text/javascript,1'",
    })
    expect(bare).toEqual(['#own', 'lodash', 'node:fs', 'plugbay/plugin'])
  })

  test('what is imported but not there', async () => {
    const { unresolved, files } = await graphOf({ 'index.js': "import './gone.js'\nimport './a.js'", 'a.js': "import './lib/lost.js'" })
    expect(unresolved).toEqual(['gone.js', 'lib/lost.js'])
    expect(files).toEqual(['a.js', 'index.js'])
  })

  test('a missing entry', async () => {
    expect(await graphOf({})).toMatchObject({ files: [], unresolved: ['index.js'] })
  })

  test('links that lead to a file', async () => {
    const root = tree({ 'real/a.js': "import './b.js'", 'real/b.js': '', 'index.js': "import './link.js'" })
    symlinkSync(join(root, 'real/a.js'), join(root, 'link.js'))
    const { files, links } = await moduleGraph(join(root, 'index.js'), root)
    expect(files).toEqual([join(root, 'index.js'), join(root, 'real/a.js'), join(root, 'real/b.js')])
    expect(links).toEqual([join(root, 'link.js')])
  })
})

test('several graphs read each source once, and no more than 16 MiB of all together', async () => {
  const long = `/*${'x'.repeat(9 * 2 ** 20)}*/`
  const root = tree({
    'a.js': "import './lib.js'",
    'b.js': "import './lib.js'",
    'c.js': `import './d.js'\n${long}`,
    'lib.js': long,
    'd.js': '',
  })
  const sources = new Sources()
  const graphs = []
  for (const name of ['a', 'b', 'c']) graphs.push(await moduleGraph(join(root, `${name}.js`), root, { sources }))
  const [a, b, c] = graphs
  expect([a?.broken, b?.broken, b?.files]).toEqual([[], [], [join(root, 'b.js'), join(root, 'lib.js')]])
  expect([c?.broken, c?.files]).toEqual([[join(root, 'c.js')], [join(root, 'c.js')]])
})

describe('a file with a syntax error', () => {
  test('is named, and hides no other', async () => {
    const { files, broken } = await graphOf({
      'index.js': "import './bad.js'\nimport './a.js'",
      'bad.js': "import './x.js'\nconst = {",
      'a.js': '',
      'x.js': '',
    })
    expect(broken).toEqual(['bad.js'])
    expect(files).toEqual(expect.arrayContaining(['a.js', 'bad.js', 'index.js']))
  })

  test('keeps the files of the graph before, so that the fix is seen wherever it is made', async () => {
    const root = tree({ 'index.js': "import './a.js'", 'a.js': "import './b.js'", 'b.js': '' })
    const before = await moduleGraph(join(root, 'index.js'), root)
    writeFileSync(join(root, 'a.js'), "import './b.js'\nexport {")
    const after = await moduleGraph(join(root, 'index.js'), root, { previous: before })
    expect(after.files.sort()).toEqual(before.files.sort())
    expect(after.broken).toEqual([join(root, 'a.js')])
  })
})
