/** Whatever is done to the files of plugins while they are watched: what runs in the end is what the files say. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Kernel } from 'plugbay'
import { expect, it } from 'vitest'
import { ends } from '../support/ends.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder, startedWith } from '../support/plugin-folder.js'
import { workerThreads } from '../support/traces-of-threads.js'

const FOLDERS = ['f0', 'f1', 'f2']
const NAMES = ['n0', 'n1', 'n2']
const folder = fc.constantFrom(...FOLDERS)
/** As editors write: in place, aside and renamed, or beside a backup. */
const how = fc.constantFrom('in place', 'renamed', 'backup')
const step = fc.record({
  act: fc.oneof(
    fc.record({ what: fc.constantFrom('save', 'break and mend', 'enable or disable', 'remove', 'out and in'), folder, how }),
    fc.record({ what: fc.constantFrom('swap names', 'swap folders'), folder, other: folder, how }),
  ),
  /** Milliseconds between two parts of it, and to the next. */
  pause: fc.constantFrom(0, 0, 5, 30, 80),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Manifest {
  name: string
  enabled: boolean
}

const paused = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

class Files {
  readonly root = emptyFolder()
  readonly plugins = join(this.root, 'plugins')
  #version = 0

  constructor() {
    for (const [index, each] of FOLDERS.entries()) this.#whole(each, NAMES[index], 'in place')
  }

  manifestOf(folder: string): Manifest | undefined {
    const path = join(this.plugins, folder, 'plugin.json')
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : undefined
  }

  /** What its service answers. */
  versionOf(folder: string): string | undefined {
    return /'version (\d+)'/.exec(readFileSync(join(this.plugins, folder, 'index.mjs'), 'utf8'))?.[1]
  }

  #put(folder: string, file: string, text: string, how: string): void {
    const path = join(this.plugins, folder, file)
    mkdirSync(join(this.plugins, folder), { recursive: true })
    if (how === 'in place') return writeFileSync(path, text)
    if (how === 'backup') {
      if (existsSync(path)) renameSync(path, `${path}~`)
      writeFileSync(path, text)
      return rmSync(`${path}~`, { force: true })
    }
    writeFileSync(join(this.root, file), text)
    renameSync(join(this.root, file), path)
  }

  #describe(folder: string, manifest: Manifest, how: string): void {
    this.#put(folder, 'plugin.json', JSON.stringify({ main: 'index.mjs', ...manifest }), how)
  }

  #save(folder: string, how: string): void {
    const answer = `'version ${++this.#version}'`
    const code = `export default { async start(ctx) { await ctx.services.provide('of-' + ctx.name, { version: () => ${answer} }) } }`
    this.#put(folder, 'index.mjs', code, how)
  }

  #whole(folder: string, name: string, how: string): void {
    this.#save(folder, how)
    this.#describe(folder, { name, enabled: true }, how)
  }

  async change({ act, pause }: Step): Promise<void> {
    const { what, folder, how } = act
    const path = join(this.plugins, folder)
    const aside = join(this.root, folder)
    const manifest = this.manifestOf(folder)
    if (manifest === undefined) {
      const taken = FOLDERS.map((each) => this.manifestOf(each)?.name)
      return this.#whole(folder, NAMES.find((name) => !taken.includes(name)) as string, how)
    }
    if (what === 'save') this.#save(folder, how)
    if (what === 'break and mend') {
      this.#put(folder, 'index.mjs', 'export default {', how)
      await paused(pause)
      this.#save(folder, how)
    }
    if (what === 'enable or disable') this.#describe(folder, { ...manifest, enabled: !manifest.enabled }, how)
    if (what === 'remove') rmSync(path, { recursive: true })
    if (what === 'out and in') {
      renameSync(path, aside)
      await paused(pause)
      renameSync(aside, path)
    }
    if (!('other' in act) || act.other === folder) return
    const other = this.manifestOf(act.other)
    if (what === 'swap names' && other) {
      this.#describe(folder, { ...manifest, name: other.name }, how)
      this.#describe(act.other, { ...other, name: manifest.name }, how)
    }
    if (what === 'swap folders') {
      const there = join(this.plugins, act.other)
      renameSync(path, aside)
      if (other) renameSync(there, path)
      renameSync(aside, there)
    }
  }

  /** What is to run by them: each plugin, its state, its place and its answer. */
  get said(): string[] {
    return FOLDERS.flatMap((folder) => {
      const manifest = this.manifestOf(folder)
      if (manifest === undefined) return []
      const state = manifest.enabled ? `running: version ${this.versionOf(folder)}` : 'disabled'
      return `${manifest.name} in ${folder} is ${state}`
    }).sort()
  }
}

/** The same of the kernel. */
const found = (kernel: Kernel): Promise<string[]> =>
  Promise.all(
    kernel.plugins().map(async ({ name, state, path }) => {
      const where = `${name} in ${FOLDERS.find((folder) => path.endsWith(folder))} is ${state}`
      if (state !== 'running') return where
      const service = await kernel.services.use(`of-${name}`, { wait: 0 })
      return `${where}: ${String(await service['version']?.())}`
    }),
  )

it('what is done to files at random is what runs in the end', { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('inline' as const, 'thread' as const),
      fc.array(step, { minLength: 6, maxLength: 10 }),
      async (isolation, steps) => {
        const before = workerThreads()
        const files = new Files()
        const { kernel } = await startedWith({}, { plugins: files.plugins, watch: true, defaults: { isolation } })
        for (const each of steps) {
          await files.change(each)
          await paused(each.pause)
        }
        await eventually(async () => expect((await found(kernel)).sort()).toEqual(files.said), 30_000)
        await ends('stop()', () => kernel.stop())
        expect([kernel.metrics().services, kernel.metrics().bus.subscriptions]).toEqual([0, 0])
        await eventually(() => expect(workerThreads()).toBeLessThanOrEqual(before))
      },
    ),
    { numRuns: 8, endOnFailure: true },
  )
})
