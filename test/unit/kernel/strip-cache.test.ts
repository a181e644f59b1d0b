/** What is kept of the stripping of types. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { StripCache } from '#src/kernel/strip-cache.js'
import { strippedSources } from '#src/kernel/stripped-sources.js'
import { runsTypeScript, stripTypes } from '#src/strip-types.js'
import { tree } from '../../support/tree.js'

const SOURCE = "import type { A } from './a.ts'\nconst secret: string = 'word'\nexport default secret as A\n"
const CODE = stripTypes(SOURCE, 'x.ts')

const stripper = () => vi.fn((source: string) => Promise.resolve<string | undefined>(stripTypes(source, 'x.ts')))

test('a source is stripped once, also for the next process', async () => {
  const folder = join(tree({}), 'types')
  const cache = new StripCache(folder, '1')
  const strip = stripper()
  expect([await cache.get(SOURCE, strip), await cache.get(SOURCE, strip)]).toEqual([CODE, CODE])
  expect(await new StripCache(folder, '1').get(SOURCE, strip)).toBe(CODE)
  expect(strip).toHaveBeenCalledTimes(1)
})

test('another content is stripped anew, and so is all by another engine', async () => {
  const folder = tree({})
  const strip = stripper()
  await new StripCache(folder, '1').get(SOURCE, strip)
  await new StripCache(folder, '1').get(`${SOURCE}\n`, strip)
  await new StripCache(folder, '2').get(SOURCE, strip)
  expect(strip).toHaveBeenCalledTimes(3)
})

test('nothing of a source is written down', async () => {
  const folder = tree({})
  await new StripCache(folder, '1').get(SOURCE, stripper())
  const [file = ''] = readdirSync(folder)
  expect(readFileSync(join(folder, file), 'utf8')).not.toMatch(/secret|word|string|const|import/)
})

test.each([
  ['cut short', (file: string) => truncateSync(file, 100)],
  ['empty', (file: string) => writeFileSync(file, '')],
  ['of other changes', (file: string) => writeFileSync(file, readFileSync(file, 'utf8').replace(/"changes":.*/, '"changes":[[0,"bad"]]}'))],
])('a file of the cache that is %s costs another stripping', async (_what, damage) => {
  const folder = tree({})
  const strip = stripper()
  await new StripCache(folder, '1').get(SOURCE, strip)
  for (const name of readdirSync(folder)) damage(join(folder, name))
  expect(await new StripCache(folder, '1').get(SOURCE, strip)).toBe(CODE)
  expect(strip).toHaveBeenCalledTimes(2)
})

test('a folder that cannot be made leaves what is in memory', async () => {
  const cache = new StripCache(join(tree({ file: '' }), 'file', 'types'), '1')
  const strip = stripper()
  expect([await cache.get(SOURCE, strip), await cache.get(SOURCE, strip)]).toEqual([CODE, CODE])
  expect(strip).toHaveBeenCalledTimes(1)
})

test('what cannot be stripped is not kept', async () => {
  const folder = tree({})
  const strip = vi.fn(() => Promise.resolve(undefined))
  expect(await new StripCache(folder, '1').get('enum A {}', strip)).toBeUndefined()
  expect(readdirSync(folder)).toEqual([])
})

test.skipIf(runsTypeScript)('the sources of a plugin are all its TypeScript, but what cannot be stripped', async () => {
  const entry = "import { a } from './a.ts'\nimport './b.ts'\nimport './c.js'\nexport default a as number\n"
  const root = tree({ 'index.ts': entry, 'a.ts': 'export const a: number = 1', 'b.ts': 'enum B {}', 'c.js': '' })
  const stripped = await strippedSources({ entry: join(root, 'index.ts'), root } as never)
  const sources = [entry, 'export const a: number = 1']
  expect(stripped).toEqual(sources.map((source) => [source, stripTypes(source, 'x.ts')]))
})
