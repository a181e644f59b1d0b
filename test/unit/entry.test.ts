/** What importing the public entries loads: little, because every app and every worker pays for it. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const recorder = new URL('../fixtures/entry/record-loads.mjs', import.meta.url).href

/** Every module a fresh process resolves while it runs `code`. */
const loadedBy = (code: string): string[] =>
  execFileSync(process.execPath, ['--no-warnings', '--import', recorder, '--input-type=module', '--eval', code], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((line) => line.startsWith('file:') || line.startsWith('node:'))

/** The files of plugbay itself, as they lie in dist/. */
const filesIn = (urls: string[]) => [...new Set(urls.flatMap((url) => /\/dist\/(.+)$/.exec(url)?.[1] ?? []))].sort()

const packagesIn = (urls: string[]) => new Set(urls.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []))

describe('importing', () => {
  test('plugbay loads what can be had without a kernel, and nothing else', () => {
    const urls = loadedBy("await import('plugbay')")
    expect(filesIn(urls)).toEqual([
      'arguments.js',
      'errors.js',
      'index.js',
      'kernel/boot-report.js',
      'kernel/kernel.js',
      'kernel/terminal-style.js',
      'passing.js',
    ])
    expect(new Set(urls.filter((url) => url.startsWith('node:')))).toEqual(new Set(['node:util']))
    expect(packagesIn(urls)).toEqual(new Set())
  })

  test('a kernel of plain options needs no validator, watcher, pool or parser, and no audit log', () => {
    const urls = loadedBy("const { createKernel } = await import('plugbay'); await createKernel()")
    const files = filesIn(urls)
    expect(files).toContain('kernel/composition-root.js')
    expect(files.filter((file) => /audit|learning|inspection|hot-reload|config-file/.test(file))).toEqual([])
    const packages = packagesIn(urls)
    for (const heavy of ['ajv', 'ajv-formats', 'chokidar', 'piscina', 'yaml', '@swc/wasm-typescript']) expect(packages).not.toContain(heavy)
  })

  test('plugbay gives the class of its kernels before there is one', async () => {
    const { createKernel, Kernel } = await import('plugbay')
    expect(await createKernel()).toBeInstanceOf(Kernel)
    await expect(createKernel({ plugin: './plugins' } as object)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  })

  test('plugbay/plugin loads two small files', () => {
    expect(filesIn(loadedBy("await import('plugbay/plugin')"))).toEqual(['passing.js', 'plugin.js'])
  })

  test('is really watched: a package that is imported shows', () => {
    expect(packagesIn(loadedBy("await import('yaml'); await import('chokidar')"))).toEqual(new Set(['yaml', 'chokidar', 'readdirp']))
  })
})
