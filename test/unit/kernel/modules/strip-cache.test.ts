/** What is kept of the stripping of types. */
import { readdirSync, readFileSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { StripCache } from '#src/kernel/modules/strip-cache.js'
import { strippedSources } from '#src/kernel/modules/stripped-sources.js'
import { runsTypeScript, stripTypes } from '#src/strip-types.js'
import { tree } from '../../../support/tree.js'

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

/** A folder with so many files, the first of them the oldest, and a cache that keeps what it has there. */
const filled = (count: number) => {
  const folder = tree({})
  for (let n = 0; n < count; n++) {
    const file = join(folder, `old${n}`)
    writeFileSync(file, '')
    utimesSync(file, n, n)
  }
  const cache = new StripCache(folder, '1')
  return { folder, keep: (name: string) => cache.get(`const ${name}: number = 1`, stripper()), names: () => readdirSync(folder) }
}

test('2,000 files are kept, and of more the newest 1,000', async () => {
  const { keep, names } = filled(1_999)
  await keep('last')
  expect(names()).toHaveLength(2_000)
  await keep('more')
  expect(names().filter((name) => !name.startsWith('old'))).toHaveLength(2)
  expect(names()).toEqual(expect.arrayContaining(Array.from({ length: 998 }, (_, n) => `old${n + 1_001}`)))
  expect(names()).toHaveLength(1_000)
})

test('what is kept at once is all there, and looks at the other files once', async () => {
  const { folder, keep, names } = filled(2_000)
  const stat = vi.spyOn(promises, 'stat')
  syncBuiltinESMExports()
  try {
    await Promise.all(Array.from({ length: 50 }, (_, n) => keep(`a${n}`)))
    expect(stat.mock.calls.length).toBeLessThan(2 * 2_000)
  } finally {
    stat.mockRestore()
    syncBuiltinESMExports()
  }
  expect(names().filter((name) => !name.startsWith('old'))).toHaveLength(50)
  expect(names().length).toBeLessThan(1_100)
  const strip = stripper()
  for (let n = 0; n < 50; n++) await new StripCache(folder, '1').get(`const a${n}: number = 1`, strip)
  expect(strip).not.toHaveBeenCalled()
})

test('a file that is not there when it is looked at keeps no other from going', async () => {
  const { folder, keep, names } = filled(2_000)
  symlinkSync('nowhere', join(folder, 'gone'))
  await keep('more')
  expect(names()).toHaveLength(1_001)
})

test('what is held in memory begins anew beyond 16 million characters', async () => {
  const cache = new StripCache(undefined, '1')
  const strip = vi.fn((source: string) => Promise.resolve<string | undefined>(source))
  const [first, second] = ['a'.repeat(9_000_000), 'b'.repeat(9_000_000)]
  for (const source of [first, first, second, second, first, first]) await cache.get(source, strip)
  expect(strip.mock.calls.map(([source]) => source[0])).toEqual(['a', 'b', 'a'])
})

test.skipIf(runsTypeScript)('the sources of a plugin are all its TypeScript, but what cannot be stripped', async () => {
  const entry = "import { a } from './a.ts'\nimport './b.ts'\nimport './c.js'\nexport default a as number\n"
  const root = tree({ 'index.ts': entry, 'a.ts': 'export const a: number = 1', 'b.ts': 'enum B {}', 'c.js': '' })
  const stripped = await strippedSources({ entry: join(root, 'index.ts'), root } as never, undefined)
  const sources = [entry, 'export const a: number = 1']
  expect(stripped).toEqual(sources.map((source) => [source, stripTypes(source, 'x.ts')]))
})
