import { execFileSync } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test, vi } from 'vitest'
import { guiltOf, type HotSpot } from '#src/kernel/limits/guilt.js'
import type { CpuProfile, ProfileNode } from '#src/sandbox/cpu-profile.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

const node = (
  id: number,
  functionName: string,
  url: string,
  hitCount: number,
  lines: Record<number, number> = {},
  children: number[] = [],
): ProfileNode => ({
  id,
  callFrame: { functionName, url, lineNumber: url === '' ? -1 : 9, columnNumber: url === '' ? -1 : 0 },
  hitCount,
  children,
  positionTicks: Object.entries(lines).map(([line, ticks]) => ({ line: Number(line), ticks })),
})

const profileOf = (nodes: ProfileNode[]) => ({ nodes, startTime: 0, endTime: 1, samples: [], timeDeltas: [] })

const hotSpots = async (profile: CpuProfile, root: string): Promise<HotSpot[]> =>
  (await guiltOf({ text: JSON.stringify(profile) }, { name: 'p', root }, 1, join(root, 'profiles'))).frames

test('a profile is as long as the plugin likes: it is read and written in a thread of its own', async () => {
  const root = emptyFolder()
  const profile = profileOf([node(1, 'work', pathToFileURL(join(root, 'index.js')).href, 10, { 12: 8 })])
  const text = JSON.stringify({ id: 5, result: { profile } })
  const inThisThread = [vi.spyOn(JSON, 'parse'), vi.spyOn(JSON, 'stringify')]
  const { frames, profile: path } = await guiltOf({ text, sureFor: 0 }, { name: 'p', root }, 1, join(root, 'profiles'))
  for (const spy of inThisThread) {
    expect(spy).not.toHaveBeenCalled()
    spy.mockRestore()
  }
  expect(frames).toEqual([{ function: 'work', file: 'index.js', line: 12, share: 1 }])
  expect(JSON.parse(readFileSync(String(path), 'utf8'))).toEqual(profile)
})

test('what is no profile blames nobody', async () => {
  const root = emptyFolder()
  for (const text of ['{"id":5,"error":{}}', '{', 'null'])
    expect(await guiltOf({ text }, { name: 'p', root }, 1, root)).toEqual({ frames: [], profile: undefined })
})

test('the time of packages and of Node is that of the function that called for it; the collector and the idle are nobody', async () => {
  const root = emptyFolder()
  const own = pathToFileURL(join(root, 'index.js')).href
  const packaged = pathToFileURL(join(root, 'node_modules/slow/index.js')).href
  const spots = await hotSpots(
    profileOf([
      node(1, '(root)', '', 0, {}, [2, 6, 7]),
      node(2, 'work', own, 10, { 12: 8, 13: 2 }, [3]),
      node(3, 'slowly', packaged, 20, { 99: 20 }, [4]),
      node(4, 'RegExp: x', '', 10, {}, [5]),
      node(5, 'back', own, 5),
      node(6, '(garbage collector)', '', 500),
      node(7, 'listOnTimeout', 'node:internal/timers', 5, { 10: 5 }),
    ]),
    root,
  )
  expect(spots).toEqual([
    { function: 'work', file: 'index.js', line: 12, share: 0.8 },
    { function: 'back', file: 'index.js', line: 10, share: 0.1 },
    { function: 'listOnTimeout', file: 'node:internal/timers', line: 10, share: 0.1 },
  ])
})

test('a function is one, from wherever it is called, and has no name when it has none', async () => {
  const root = emptyFolder()
  const own = pathToFileURL(join(root, 'lib.js')).href
  const spots = await hotSpots(profileOf([node(1, '', own, 3, { 20: 3 }), node(2, '', own, 4, { 21: 4 })]), root)
  expect(spots).toEqual([{ function: '(anonymous)', file: 'lib.js', line: 21, share: 1 }])
})

test.skipIf(process.platform === 'win32')('a source map that has no end is not read', async () => {
  const root = emptyFolder()
  execFileSync('mkfifo', [join(root, 'pipe')])
  const spots = ['/dev/zero', '/proc/kmsg', join(root, 'pipe')].map((map, i) => {
    writeFileSync(join(root, `${i}.js`), `${'\n'.repeat(20)}//# sourceMappingURL=file://${map}\n`)
    return hotSpots(profileOf([node(1, 'a', pathToFileURL(join(root, `${i}.js`)).href, 2, { 11: 2 })]), root)
  })
  expect(await Promise.all(spots)).toMatchObject([0, 1, 2].map((i) => [{ file: `${i}.js`, line: 11 }]))
})

test('a name of a function is told as far as anybody reads it', async () => {
  const root = emptyFolder()
  const own = pathToFileURL(join(root, 'lib.js')).href
  expect(await hotSpots(profileOf([node(1, 'x'.repeat(1e6), own, 3, { 20: 3 })]), root)).toMatchObject([{ function: 'x'.repeat(200) }])
})

test('a source map that is none, or leads nowhere, leaves the place as it runs', async () => {
  const root = emptyFolder()
  const own = (name: string) => pathToFileURL(join(root, name)).href
  writeFileSync(join(root, 'a.js'), `${'\n'.repeat(20)}//# sourceMappingURL=not-there.js.map\n`)
  writeFileSync(join(root, 'b.js'), `${'\n'.repeat(20)}//# sourceMappingURL=data:application/json,nonsense\n`)
  const spots = await hotSpots(profileOf([node(1, 'a', own('a.js'), 2, { 11: 2 }), node(2, 'b', own('b.js'), 1, { 12: 1 })]), root)
  expect(spots.map(({ file, line }) => [file, line])).toEqual([
    ['a.js', 11],
    ['b.js', 12],
  ])
})

/** Line 10 of what runs is line 1 of `origin.ts`. */
const MAPPINGS = `${';'.repeat(9)}AAAA`

test('places are told by a map that lies in the folder and is no larger than an honest one; a map elsewhere is not read', async () => {
  const [root, elsewhere] = [emptyFolder(), emptyFolder()]
  const map = (mappings: string) => JSON.stringify({ version: 3, sources: ['origin.ts'], names: [], mappings })
  const padding = 'AAAA,'.repeat(210_000)
  writeFileSync(join(root, 'in.map'), map(MAPPINGS))
  writeFileSync(join(elsewhere, 'out.map'), map(MAPPINGS))
  symlinkSync(join(elsewhere, 'out.map'), join(root, 'link.map'))
  writeFileSync(join(root, 'long.map'), map(`${MAPPINGS},${padding}`.slice(0, -1)))
  const parts = [MAPPINGS, padding.slice(0, -1)].map((mappings) => ({
    offset: { line: 0, column: 0 },
    map: JSON.parse(map(mappings)) as object,
  }))
  writeFileSync(join(root, 'parts.map'), JSON.stringify({ version: 3, sections: parts }))
  const named = ['in.map', pathToFileURL(join(elsewhere, 'out.map')).href, 'link.map', 'long.map', 'parts.map']
  const nodes = named.map((name, i) => {
    writeFileSync(join(root, `${i}.js`), `${'\n'.repeat(9)}spin()\n//# sourceMappingURL=${name}\n`)
    return node(i, `f${i}`, pathToFileURL(join(root, `${i}.js`)).href, 9 - i)
  })
  const spots = await hotSpots(profileOf(nodes), root)
  expect(spots.map(({ file, line }) => `${file}:${line}`)).toEqual(['origin.ts:1', '1.js:10', '2.js:10', '3.js:10', '4.js:10'])
})
